"""Prints the greedy tokens of a base, perturbed and trained model from one engine in two processes. A script: MODEL BACKEND."""

import sys

if __name__ == "__main__":
    from esprobe.arms import BASE, Perturbation, Update, Weights
    from esprobe.engines.backend import Decoding
    from esprobe.engines.engine import EngineSpec, open_backend
    from esprobe.engines.models import find_model
    from tests.vllm.conftest import PROMPTS

    parallel = 2 if sys.argv[2] == "vllm" else 1
    backend = open_backend(EngineSpec(sys.argv[2], find_model(sys.argv[1]), "float32", (258,), tensor_parallel=parallel))
    lines, noise = [], Perturbation("iid", 5, 0.01)
    updates = (Update((3, 4), (0.004, -0.002)), Update((5,), (1e-3,)))
    for wish in (BASE, Weights((), noise), Weights(updates[:1]), Weights(updates), Weights(updates, noise), BASE):
        backend.set_weights(wish)
        lines.append([generation.ids for generation in backend.generate(PROMPTS[:8], Decoding(32))])
    backend.close()
    print(*lines, sep="\n")
