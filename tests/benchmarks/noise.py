"""Perturbing four million float32 weights on one thread of a CPU: with Numba, without, and with `torch.randn` as the plain way.

Run it with `python -m tests.benchmarks.noise`.
"""

import time
from collections.abc import Callable

import torch

from esprobe.arms import Perturbation
from esprobe.weights import perturb
from tests.benchmarks.table import Row, in_turns, ratio, render

ROUNDS, WEIGHTS, SIGMA = 9, 1 << 22, 0.01


def rows() -> list[Row]:
    """Millions of weights a second, in turns; none where Numba is missing."""
    fused, threads = perturb._fused, torch.get_num_threads()
    if not fused():
        return []
    torch.set_num_threads(1)
    base = torch.randn(WEIGHTS)
    out = torch.empty_like(base)

    def ours(way: Callable[[], object]) -> float:
        perturb._fused = way  # type: ignore[assignment]
        try:
            return rate(lambda: perturb.perturb(out, base, "w", Perturbation("iid", 1, SIGMA)))
        finally:
            perturb._fused = fused

    def rate(work: Callable[[], object]) -> float:
        begun = time.perf_counter()
        work()
        return WEIGHTS / (time.perf_counter() - begun) / 1e6

    works = {
        "numba": lambda: ours(fused),
        "passes": lambda: ours(lambda: None),
        "plain": lambda: rate(lambda: torch.add(base, torch.randn(WEIGHTS), alpha=SIGMA, out=out)),
    }
    for work in works.values():
        work()  # compiles and warms up
    rates = in_turns(works, ROUNDS)
    torch.set_num_threads(threads)
    middle = {way: sorted(found)[len(found) // 2] for way, found in rates.items()}
    spread = ", ".join(f"{way} {min(found):.0f} to {max(found):.0f}" for way, found in rates.items())
    print(f"million weights perturbed a second on one thread: {spread}")
    unit = "M weights/s"
    return [
        Row("noise on a CPU, with Numba", middle["numba"], unit, "randn", middle["plain"], ratio(rates["numba"], rates["plain"])),
        Row(
            "noise on a CPU, with Numba",
            middle["numba"],
            unit,
            "without",
            middle["passes"],
            ratio(rates["numba"], rates["passes"]),
        ),
    ]


if __name__ == "__main__":
    print(render(rows()))
