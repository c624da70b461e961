"""How much of a sweep on vLLM is decoding, and what the time between the decoding of consecutive draws goes into. A script.

From the start of the first decoding call to the start of the last: whole periods, with the start of the engine, the reading of
the base and the proof of the first perturbation outside. Every part counts without the parts inside it; the writer's thread
works during the decoding.
"""

import argparse
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch

from esprobe.engines import vllm_backend
from esprobe.pipeline import sample, writer
from esprobe.pipeline.meter import Quiet
from esprobe.plan.sweep import Sweep
from esprobe.store.store import Store
from esprobe.weights import perturb

DECODING = ("decoding: the engine's steps", "decoding: the engine takes requests")
OTHER = "handing over and everything else"


@dataclass(frozen=True)
class Span:
    """A call's part, its thread, its start and end, and what of the time was its own."""

    part: str
    main: bool
    start: float
    end: float
    own: float


class Clock:
    """Times calls of functions that it has been told to watch, each thread by itself."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.local = threading.local()

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Counts what `owner.name` takes, but for what it calls that is watched as well, to `part`."""
        function = getattr(owner, name)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.span(part):
                return function(*args, **kwargs)

        setattr(owner, name, timed)

    @contextmanager
    def span(self, part: str) -> Iterator[None]:
        """Counts what happens inside to `part`."""
        outer, self.local.inside = getattr(self.local, "inside", 0.0), 0.0
        start = perf_counter()
        try:
            yield
        finally:
            if torch.cuda.is_available():
                torch.cuda.synchronize()  # what a part has only enqueued is its own time as well
            end = perf_counter()
            main = threading.current_thread() is threading.main_thread()
            self.spans.append(Span(part, main, start, end, end - start - self.local.inside))
            self.local.inside = outer + end - start


def watched() -> Clock:
    """A clock on everything between two decoding calls, in this process's engine."""
    vllm_backend._set_if_unset(vllm_backend._QUIET | vllm_backend._ON_CPU)  # vLLM reads some of them when it is imported
    import vllm

    from esprobe.engines.vllm_worker import LiveWeights, Perturber

    clock = Clock()
    clock.watch(vllm.LLM, "generate", DECODING[1])
    clock.watch(vllm.LLM, "_run_engine", DECODING[0])
    clock.watch(vllm.LLM, "collective_rpc", "calling the worker")
    clock.watch(Perturber, "esprobe_set_weights", "calling the worker")
    clock.watch(Perturber, "esprobe_nan", "looking for NaN")
    clock.watch(perturb, "perturb", "noise")
    clock.watch(perturb, "perturb_all", "noise")
    clock.watch(LiveWeights, "write", "load_weights")
    clock.watch(vllm_backend.VllmBackend, "_empty_prefix_cache", "emptying the prefix cache")
    clock.watch(vllm_backend.VllmBackend, "_run", "making requests")
    clock.watch(vllm_backend.VllmBackend, "generate", "limits, and reading results")
    clock.watch(writer, "answer", "texts and scores")
    clock.watch(Store, "save", "saving")
    return clock


def table(clock: Clock) -> str:
    """The parts' shares of the sweep."""
    calls = [span for span in clock.spans if span.part == DECODING[1]]
    begin, end = calls[0].start, calls[-1].start
    inside = [span for span in clock.spans if begin <= span.start and span.end <= end]
    parts, behind = Counter[str](), Counter[str]()
    for span in inside:
        (parts if span.main else behind)[span.part] += span.own
    decoding = sum(call.end - call.start for call in calls[:-1])
    # The calls around the first and the last decoding are only partly inside: what of them is inside is in no span.
    parts[OTHER] = end - begin - sum(parts.values())
    draws = len(calls) - 1

    def line(part: str, seconds: float) -> str:
        return f"{part:40} {seconds / draws * 1000:9.2f} {seconds / (end - begin):8.2%}"

    return "\n".join(
        [
            f"{f'{draws} draws':38} {'ms/draw':>11} {'share':>8}",
            *(line(part, parts.pop(part)) for part in DECODING),
            *(line(part, seconds) for part, seconds in parts.most_common()),
            line("lost between decoding calls", end - begin - decoding),
            f"{draws / (end - begin) * 60:,.1f} draws a minute",
            "during the decoding, in the writer's thread:",
            *(line(part, seconds) for part, seconds in behind.most_common()),
        ]
    )


def main() -> None:
    """Runs a sweep and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=11, help="one more than are timed")
    parser.add_argument("--problems", type=int, default=128)
    parser.add_argument("--sigma", type=float, default=0.01)
    parser.add_argument("--model", default="countdown-tiny", help="a model's name or folder")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    asked = parser.parse_args()
    clock = watched()
    with TemporaryDirectory() as folder:
        sweep = Sweep(
            "perturbation",
            (asked.sigma,),
            asked.draws,
            model=asked.model,
            dtype=asked.dtype,
            max_new_tokens=asked.max_new_tokens,
            backend="vllm",
            limit=asked.problems,
            greedy=False,
        )
        sample.sample(sweep, Path(folder) / "bench.db", "bench_gap", Quiet())
    print(table(clock))


if __name__ == "__main__":
    main()
