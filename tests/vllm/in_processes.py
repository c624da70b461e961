"""Prints the greedy tokens of the base, two draws and the base again from an engine in separate processes. A script."""

import sys

if __name__ == "__main__":
    from esprobe.arms import BASE, Perturbation, Weights
    from esprobe.bundled import BUNDLED
    from esprobe.engines.backend import Decoding
    from esprobe.engines.models import find_model
    from esprobe.engines.vllm_backend import VllmBackend
    from tests.vllm.conftest import PROMPTS

    backend = VllmBackend(find_model(BUNDLED), "float32", [258])
    lines = []
    for wish in (BASE, *(Weights(perturbation=Perturbation("iid", int(seed), 0.01)) for seed in sys.argv[1:]), BASE):
        backend.set_weights(wish)
        lines.append([generation.ids for generation in backend.generate(PROMPTS, Decoding(64))])
    backend.close()
    print(*lines, sep="\n")
