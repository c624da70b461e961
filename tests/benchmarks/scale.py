"""Scale on paper: how long 10,000 perturbation draws × 100 problems of 7B and 70B models take on many GPUs, and what limits them.

The simulated scheduler on times partly assumed (the GPU's, each named below) and partly measured here (writing, hand-out).
Run it with `python -m tests.benchmarks.scale`.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esprobe.arms import Arm
from esprobe.bundled import BUNDLED
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.report import render as rendering
from esprobe.store.store import RolloutRow
from esprobe.tasks.countdown.task import Countdown
from tests.benchmarks.scheduler import Piece, check, closed_form, hand_out, simulate
from tests.benchmarks.store import THOUGHTS, new_store
from tests.benchmarks.table import Row, figure, render

# The work.
DRAWS, PROBLEMS = 10_000, 100
NEW_TOKENS, MEAN_TOKENS, SCALE = 1024, 300, 312  # an exponential of mean 312, cut off at 1024, has mean 300 (assumed shape)
PROMPT = 150  # tokens of the published prompt in Qwen's tokenizer, about
CHARACTERS = 900  # of a rollout's text: 3 a token

# The GPU, H100 SXM: NVIDIA's data sheet, and what of it is assumed to be reached.
MEMORY, BANDWIDTH, FLOPS = 80e9, 3.35e12, 989e12  # bytes, bytes/s, dense bf16
BANDWIDTH_SHARE, FLOPS_SHARE = 0.75, 0.5  # assumptions
STEP_S = 1e-3  # assumption: an engine's own time a token (scheduling, sampling, launches)
REDUCE_S = 15e-6  # assumption: one all-reduce of a few hundred kB over NVLink; two a layer
NOISE_RATE = 1e11  # assumption: elements/s of the kernel, some 100 integer operations each on 132 multiprocessors
HOST = 50e9  # assumption: bytes/s from pinned memory over PCIe 5 × 16 (data sheet: 64e9)
LINK = 10e9 / 8  # assumption: bytes/s of the driver's network
DISK, INIT_S = 3e9, 60.0  # assumptions: bytes/s of a node's NVMe; imports, profiling and CUDA graphs of vLLM


@dataclass(frozen=True)
class Model:
    """A model in bf16 on engines of `gpus` GPUs each."""

    name: str
    weights: float
    layers: int
    kv_bytes: int  # of keys and values a token: 2 · layers · key-value heads · head size · 2 bytes
    gpus: int

    @property
    def bytes(self) -> float:
        return 2 * self.weights

    @property
    def base_on_gpu(self) -> bool:
        """Whether a second copy fits beside the engine; the rule of the vLLM backend."""
        return 0.9 - (self.bytes + (2 << 30)) / MEMORY >= max(0.4, 1.5 * self.bytes / MEMORY)

    @property
    def step_s(self) -> float:
        """A step of few rows: each weight is read once."""
        reduce = 2 * self.layers * REDUCE_S if self.gpus > 1 else 0.0
        return self.bytes / (BANDWIDTH * BANDWIDTH_SHARE * self.gpus) + STEP_S + reduce

    @property
    def noise_s(self) -> float:
        """One perturbation: every worker makes the whole noise, whatever its share of the model, and loads its share."""
        loading = 4 * self.bytes / (BANDWIDTH * BANDWIDTH_SHARE)  # base read, perturbed written, read and written by the loader
        return self.weights / NOISE_RATE + loading + (0 if self.base_on_gpu else self.bytes / HOST)

    @property
    def start_s(self) -> float:
        return INIT_S + self.bytes / DISK

    def decode_s(self, lengths: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Seconds of each batch (batches, rows): until its longest row ends; what limits is memory or arithmetic."""
        rows, steps, tokens = lengths.shape[1], lengths.max(1), lengths.sum(1)
        kv = self.kv_bytes * (tokens * PROMPT + (lengths**2).sum(1) / 2) / (BANDWIDTH * BANDWIDTH_SHARE * self.gpus)
        flops = 2 * self.weights / (FLOPS * FLOPS_SHARE * self.gpus)  # seconds a token
        return rows * PROMPT * flops + np.maximum(steps * self.step_s + kv, tokens * flops)


QWEN_7B = Model("7B", 7.6e9, 28, 2 * 28 * 4 * 128 * 2, 1)  # Qwen2.5-7B
# Llama-3.1-70B: 141 GB, so two GPUs hold it but not its keys and values. An engine of ours has one GPU, so this is on paper only.
LLAMA_70B = Model("70B", 70.6e9, 80, 2 * 80 * 8 * 128 * 2, 4)
CASES = ((QWEN_7B, 1), (QWEN_7B, 8), (QWEN_7B, 64), (QWEN_7B, 1024), (LLAMA_70B, 1), (LLAMA_70B, 8), (LLAMA_70B, 64))


@dataclass(frozen=True)
class Writing:
    """Seconds of the writer a rollout, and bytes of the database."""

    decode_s: float
    score_s: float
    save_s: float
    bytes: float

    @property
    def seconds(self) -> float:
        return self.decode_s + self.score_s + self.save_s


def writing(rows: int, tokens: int, characters: int, units: int) -> Writing:
    """What the writer does with a unit, in its order: ids to text (the bundled tokenizer), verdict, `Store.save`. Medians."""
    task, tokenizer, rng = Countdown(), load_tokenizer(find_model(BUNDLED)), random.Random(1)
    problems = task.bundled()[:rows]
    scorer = task.scorers[task.default_scorer]
    times: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "store.db"
        store, ids, run_id = new_store(path, rows)
        arm_id = store.arm_id(Arm("made", "digest", "perturbation", 0.01))
        empty = path.stat().st_size
        for draw in range(units):
            starts = [rng.randrange(len(THOUGHTS) - characters) for _ in ids]
            texts = [f"{THOUGHTS[i : i + characters]}</think>\n<answer> {i % 90} + {draw} </answer>" for i in starts]
            made = tokenizer([text[:tokens] for text in texts], add_special_tokens=False).input_ids  # a byte a token
            begun = time.perf_counter()
            tokenizer.batch_decode(made, skip_special_tokens=True)
            decoded = time.perf_counter()
            scores = [scorer(problem.payload, text) for problem, text in zip(problems, texts, strict=True)]
            scored = time.perf_counter()
            found = [RolloutRow(draw, i, t, tokens, "stop", s) for i, t, s in zip(ids, texts, scores, strict=True)]
            store.save(arm_id, run_id, task.default_scorer, found, {draw: draw})
            times.append((decoded - begun, scored - decoded, time.perf_counter() - scored))
        store.close()
        size = path.stat().st_size - empty
    decode_s, score_s, save_s = (statistics.median(column) / rows for column in zip(*times, strict=True))
    return Writing(decode_s, score_s, save_s, size / (units * rows))


@dataclass(frozen=True)
class Case:
    """What one model on so many GPUs comes to, seconds. `shares`: how busy each part is, of the time after the start."""

    model: Model
    gpus: int
    engines: int
    unit_s: float
    simulated: float
    closed: float
    shares: dict[str, float]

    @property
    def limit(self) -> str:
        return max(self.shares, key=lambda part: self.shares[part])


def case(model: Model, gpus: int, write_s: float, hand_s: float, net_s: float) -> Case:
    """The network is counted as the driver's time, as if nothing overlapped."""
    lengths = np.random.default_rng(1).exponential(SCALE, (DRAWS, PROBLEMS)).clip(1, NEW_TOKENS)
    decode = model.decode_s(np.ceil(lengths))
    work, engines, start_s = [Piece(i, float(s)) for i, s in enumerate(decode)], gpus // model.gpus, model.start_s
    simulated = simulate(work, [start_s] * engines, write_s, hand_s + net_s, model.noise_s)
    closed = closed_form(work, engines, start_s, write_s, hand_s + net_s, model.noise_s)
    each, mean = (simulated - start_s) / DRAWS, float(decode.mean())
    shares = {
        "engine": mean / engines / each,
        "noise": model.noise_s / engines / each,
        "writer": write_s / each,
        "driver": hand_s / each,
        "network": net_s / each,
    }
    return Case(model, gpus, engines, mean + model.noise_s, simulated, closed, shares)


def render_cases(cases: Sequence[Case | tuple[Model, int]], bytes_each: float, sent: int) -> str:
    columns = [
        "model",
        "GPUs",
        "engines",
        "s a unit",
        "noise",
        "simulated",
        "closed form",
        "ratio",
        "GPU-hours",
        "limit",
        "writer busy",
    ]
    lines = []
    for c in cases:
        if not isinstance(c, Case):
            lines.append(
                [c[0].name, str(c[1]), "0", *["–"] * 6, f"excluded: {c[0].bytes / 1e9:.0f} GB in {MEMORY / 1e9:.0f}", ""]
            )
            continue
        hours = [f"{s / 3600:,.2f} h" for s in (c.simulated, c.closed)]
        noise = f"{c.model.noise_s / c.unit_s:.1%}"
        ours = [c.model.name, str(c.gpus), str(c.engines), figure(c.unit_s), noise, *hours, f"{c.simulated / c.closed:.3f}"]
        lines.append([*ours, figure(c.simulated / 3600 * c.gpus), c.limit, f"{c.shares['writer']:.1%}"])
    count = DRAWS * PROBLEMS
    return (
        f"{DRAWS:,} draws × {PROBLEMS} problems, {count:,} rollouts; a unit is one draw, {PROBLEMS} rollouts\n"
        + rendering.render(columns, lines, "table")
        + f"\ndatabase {bytes_each * count / 1e9:.2f} GB; over the driver's network {sent * DRAWS / 1e9:.2f} GB of tokens"
    )


def measure() -> tuple[list[Row], str]:
    """The rows, and everything else there is to say as text."""
    long, short = writing(PROBLEMS, MEAN_TOKENS, CHARACTERS, 20), writing(128, 39, 90, 20)
    hand_s, source, sent = hand_out(PROBLEMS, PROMPT, MEAN_TOKENS)
    write_s, net_s = long.seconds * PROBLEMS, sent / LINK
    cases: list[Any] = [case(m, n, write_s, hand_s, net_s) if n >= m.gpus else (m, n) for m, n in CASES]
    done = [c for c in cases if isinstance(c, Case)]
    lines = [render_cases(cases, long.bytes, sent), ""]
    for label, w in ((f"{PROBLEMS} rollouts of {MEAN_TOKENS} tokens", long), ("128 rollouts of the bundled model", short)):
        lines.append(
            f"writer, measured, units of {label}: {w.seconds * 1e6:.0f} µs a rollout (text {w.decode_s * 1e6:.0f}, verdict "
            f"{w.score_s * 1e6:.0f}, save {w.save_s * 1e6:.0f}); {w.bytes / 1e3:.2f} kB in the database"
        )
    lines.append(f"driver, {source}: {hand_s * 1e3:.2f} ms a unit; {sent / 1e3:.0f} kB, {net_s * 1e3:.2f} ms on the network")
    for first in {c.model.name: c for c in reversed(done)}.values():
        model, unit = first.model, first.unit_s
        where = "on the GPU" if model.base_on_gpu else f"in host memory, {model.bytes * model.gpus / 1e9:.0f} GB an engine"
        noise = f"noise {model.noise_s:.2f} s a draw, as long as {model.noise_s / model.step_s:.0f} steps; the base is {where}"
        limits = [f"the {part} at {unit / s:,.0f}" for part, s in (("writer", write_s), ("driver", hand_s), ("network", net_s))]
        lines.append(
            f"{model.name}: a step {model.step_s * 1e3:.1f} ms, a unit {unit:.2f} s, start {model.start_s:.0f} s; {noise}"
        )
        lines.append(f"  engines that saturate it: {', '.join(limits)}")
    found = []
    for c in done:
        what = f"10⁶ rollouts on paper: {c.model.name}, {c.gpus} GPU{'s' * (c.gpus > 1)}"
        hours, closed = c.simulated / 3600, c.closed / 3600
        found.append(Row(what, hours, "h", "closed form", closed, closed / hours, f"limit: {c.limit}"))
    if source == "measured":
        found += check(short.seconds * 128, hand_s)
    return found, "\n".join(lines)


def rows() -> list[Row]:
    """The cases beside the closed form, and real sweeps beside their simulation."""
    return measure()[0]


def main() -> None:
    """Prints the table of cases, what was measured, and the rows."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    found, text = measure()
    print(f"{text}\n\n{render(found)}")


if __name__ == "__main__":
    main()
