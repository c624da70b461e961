"""How long vLLM takes to get perturbed weights: by the model's own loader, and straight to where that puts them. A script."""

import argparse
import statistics
from time import perf_counter
from typing import Any

import torch

from esprobe.arms import Perturbation, Weights
from esprobe.engines import vllm_backend
from esprobe.engines.models import find_model
from tests.benchmarks.table import in_turns, ratio, times

ROUNDS, SIGMA = 9, 0.01


def main() -> None:
    """Prints milliseconds, medians with the range, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="countdown-tiny", help="a model's name or folder")
    parser.add_argument("--dtype", default="float32")
    asked = parser.parse_args()
    vllm_backend._set_if_unset(vllm_backend._QUIET | vllm_backend._ON_CPU)
    backend = vllm_backend.VllmBackend(find_model(asked.model), asked.dtype, end_ids=())
    seeds = iter(range(10_000))

    def draw() -> float:
        begun = perf_counter()
        backend.set_weights(Weights(perturbation=Perturbation("iid", next(seeds), SIGMA)))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return (perf_counter() - begun) * 1000

    draw()  # proves that the whole model is perturbed
    worker: Any = backend.llm.llm_engine.model_executor.driver_worker.worker
    live = worker._esprobe_weights
    places = live.places
    assert places is not None, "this model has no places to write to"

    def by_loader() -> float:
        live.places = None
        return draw()

    def straight() -> float:
        live.places = places
        return draw()

    spent = in_turns({"by the loader": by_loader, "straight to its place": straight}, ROUNDS)
    print(f"{asked.model}, {asked.dtype}, {len(places)} tensors, {live.wanted:,} weights; medians of {ROUNDS} (min–max)")
    for way, taken in spent.items():
        print(f"{way:24} {statistics.median(taken):9.2f} ms ({min(taken):.2f}–{max(taken):.2f})")
    print(f"ratio {times(ratio(spent['by the loader'], spent['straight to its place']))}")
    backend.close()


if __name__ == "__main__":
    main()
