"""A discrete-event simulation of our scheduler: the real `Todo`, the driver's hand-out, one writer behind its bounded queue.

Beside it a closed form, and real sweeps that it has to predict. Knows nothing of what a unit's seconds are made of;
`python -m tests.benchmarks.scale` does, and prints what comes of it.
"""

import os
import pickle
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from esprobe.arms import Perturbation
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Decoding, Generation
from esprobe.engines.engine import Batch, Done
from esprobe.engines.local_pool import LocalPool
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.engines.open import open_pool
from esprobe.engines.pool import Pool
from esprobe.engines.todo import Todo
from esprobe.pipeline.meter import Quiet
from esprobe.pipeline.sample import WAITING, sample
from esprobe.plan.sweep import Sweep
from tests.benchmarks.store import THOUGHTS
from tests.benchmarks.table import Row

HAND_S = 3e-3  # assumption where Ray is not installed


@dataclass(frozen=True)
class Piece:
    """A unit of work for the simulation: its weights, and how long an engine is at it once it has them."""

    perturbation: Any
    seconds: float


def simulate(work: Sequence[Piece], starts: Sequence[float], write_s: float, hand_s: float = 0.0, noise_s: float = 0.0) -> float:
    """Seconds until the last unit is written, by engines that are ready at `starts`.

    As `RayPool.run` and `sampling._behind` have it: the driver takes the oldest answer, hands the engine its next unit
    (`hand_s`), and puts the answer into the writer's queue, which makes it wait while more than WAITING are in there.
    """
    todo: Any = Todo(work)
    running: list[tuple[float, int, Piece | None]] = []  # until when, in the order of handing out
    answers: list[tuple[int, Piece | None]] = []
    for start in starts[: len(work)]:
        heappush(running, (start, len(running), None))
    handed, clock, written = len(running), 0.0, 0.0
    waiting: deque[float] = deque()  # when the writer will be through with each
    while running or answers:
        if not answers:
            clock = max(clock, running[0][0])
        while running and running[0][0] <= clock:
            _, order, piece = heappop(running)
            heappush(answers, (order, piece))
        _, done = heappop(answers)
        piece = todo.take(done)
        if piece is not None:
            clock += hand_s
            fresh = done is None or done.perturbation != piece.perturbation
            heappush(running, (clock + piece.seconds + noise_s * fresh, handed, piece))
            handed += 1
        if done is not None:
            while waiting and (len(waiting) > WAITING or waiting[0] <= clock):
                clock = max(clock, waiting.popleft())
            written = max(written, clock) + write_s
            waiting.append(written)
    return max(clock, written)


def closed_form(work: Sequence[Piece], engines: int, start_s: float, write_s: float, hand_s: float, noise_s: float) -> float:
    """The same with perfect division: the start, and then the busiest of engines, writer and driver; `noise_s` for each unit."""
    shares = (sum(piece.seconds + noise_s for piece in work) / engines, len(work) * write_s, len(work) * hand_s)
    return start_s + max(shares)


class Echo:
    """An engine that has its answer ready."""

    def __init__(self, done: Done) -> None:
        self.done = done

    def run(self, batch: Batch) -> Done:
        return self.done


def hand_out(prompts: int, prompt: int, tokens: int, rounds: int = 60) -> tuple[float, str, int]:
    """(seconds that the driver spends with one unit, where they are from, bytes of its tokens as Ray sends them).

    A unit is so many prompts of `prompt` tokens each and as many answers of `tokens` tokens.
    """
    rng = random.Random(1)

    def ids(count: int) -> list[int]:
        return [rng.randrange(150_000) for _ in range(count)]

    batch = Batch(Perturbation("iid", 1, 0.1), [ids(prompt) for _ in range(prompts)], Decoding(tokens))
    done = Done([Generation(ids(tokens), "stop") for _ in range(prompts)])
    sent = len(pickle.dumps(batch)) + len(pickle.dumps(done))
    if find_spec("ray") is None:
        return HAND_S, "assumed", sent
    pool: Any = open_pool(2)
    pool._connect()
    try:
        actor = pool.ray.remote(num_cpus=1)(Echo).remote(done)
        answer, times = actor.run.remote(batch), []
        for _ in range(rounds):
            pool.ray.wait([answer])
            begun = time.perf_counter()
            pool.ray.get(answer)
            answer = actor.run.remote(batch)
            times.append(time.perf_counter() - begun)
    finally:
        pool.ray.shutdown()
    return statistics.median(times), "measured", sent


@dataclass
class Watched:
    """A pool that notes when units are handed out ("out") and come back ("back"), with the unit's number."""

    pool: Pool
    events: list[tuple[str, int, float]] = field(default_factory=list)

    def device(self) -> str:
        return self.pool.device()

    def open(self, spec: Any, say: Any, pieces: int) -> None:
        self.pool.open(spec, say, pieces)

    def close(self) -> None:
        self.pool.close()

    def run(self, work: Iterable[Any], note: Any) -> Iterator[tuple[Any, Done]]:
        for piece, done in self.pool.run((_Timed(piece, i, self.events) for i, piece in enumerate(work)), note):
            self.events.append(("back", piece.number, time.perf_counter()))
            yield piece.piece, done

    def times(self) -> list[float]:
        """Seconds from hand-out to return, by unit."""
        moments = {(what, number): at for what, number, at in self.events}
        return [moments["back", i] - moments["out", i] for i in range(len(self.events) // 2)]

    def starts(self) -> list[float]:
        """When each engine was ready, seconds after the first: a hand-out that no return follows at once was its first."""
        after = [what for what, _, _ in self.events[1:]] + ["back"]
        ready = [at for (what, _, at), follows in zip(self.events, after, strict=True) if what == "out" and follows == "out"]
        return [at - self.events[0][2] for at in ready]


@dataclass(frozen=True)
class _Timed:
    """A unit that notes when it is handed out."""

    piece: Any
    number: int
    events: list[tuple[str, int, float]]

    @property
    def perturbation(self) -> Any:
        return self.piece.perturbation

    def batch(self) -> Batch:
        made: Batch = self.piece.batch()
        self.events.append(("out", self.number, time.perf_counter()))
        return made


class Instant:
    """A pool whose one engine needs no time, so that the writer is the limit."""

    def __init__(self, ids: list[int]) -> None:
        self.generation = Generation(ids, "stop")

    def device(self) -> str:
        return "cpu"

    def open(self, spec: Any, say: Any, pieces: int) -> None:
        pass

    def close(self) -> None:
        pass

    def run(self, work: Iterable[Any], note: Any) -> Iterator[tuple[Any, Done]]:
        for piece in work:
            yield piece, Done([self.generation] * len(piece.batch().prompts))


def real(pool: Pool, draws: int) -> list[float]:
    """A sweep of the bundled model, 128 problems: when the first unit was handed out, and when each was written."""
    moments: list[float] = []

    class Moments(Quiet):
        def start(self, what: str, total: int, unit: str) -> Any:
            moments.append(time.perf_counter())
            return lambda count: moments.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as name:
        sample(Sweep("perturbation", (0.01,), draws=draws, greedy=False), Path(name) / "real.db", "benchmark", Moments(), pool)
    return moments


def one_engine(draws: int) -> list[float]:
    """Seconds of each unit on one engine in this process, without the first, which warms up."""
    watched = Watched(LocalPool())
    real(watched, draws)
    return watched.times()[1:]


def check(write_s: float, hand_s: float, draws: int = 24) -> list[Row]:
    """Makespans without start-up, from the first hand-out to the last write, measured and simulated.

    Two engines share the machine's memory and its caches, so their units may take longer than those of one; with the units' own
    times what is left between the two is the scheduler's.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    alone = statistics.median(one_engine(draws // 2))
    watched = Watched(open_pool(2))
    moments = real(watched, draws)
    measured, own, starts = moments[-1] - moments[0], watched.times(), watched.starts()

    def row(label: str, times: Sequence[float]) -> Row:
        predicted = simulate([Piece(i, s) for i, s in enumerate(times)], starts, write_s, hand_s)
        floor = f"a unit {statistics.fmean(times):.3f} s"
        return Row(f"sweep of {draws} × 128, 2 engines", measured, "s", label, predicted, predicted / measured, floor)

    units, ids = 100, load_tokenizer(find_model(BUNDLED))(THOUGHTS[:90]).input_ids[:39]
    runs = [real(Instant(ids), units) for _ in range(3)]
    taken = min(moments[-1] - moments[0] for moments in runs)
    bound = simulate([Piece(i, 0.0) for i in range(units)], [0.0], write_s)
    return [
        row("simulated, units as on one engine alone", [alone] * draws),
        row("simulated, units as in this very run", own),
        Row(f"sweep of {units} × 128, no engine time", taken, "s", "simulated, writer alone", bound, bound / taken),
    ]
