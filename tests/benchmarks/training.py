"""Rollouts per second of a training, compared with a plain loop: `generate`, `randn` for every parameter, numpy's z-scores.

Both on the whole machine: the plain loop with torch's own threads, ours with one engine and with one a core. Start-up is not
counted on either side: the time runs from the end of the first iteration to that of the last. What is lost between iterations is
what an iteration takes longer than as many members at the pace at which they finish while all engines are at work: between the
first that each engine finishes, and the last. And the memory of an update of a model of 135 million parameters. Run it with
`python -m tests.benchmarks.training`.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks.table import Row, in_turns, ratio, render

ROUNDS, ITERATIONS, POPULATION, PROBLEMS, SIGMA, RATE = 5, 3, 32, 64, 0.015, 0.01
ENGINES = os.cpu_count() or 1
LARGE = (49152, 576, 1536, 192, 30)  # SmolLM2-135M: vocabulary, hidden, inner, keys and values, layers; tied embeddings


def plain_loop() -> dict[str, float]:
    """What a user would write; rollouts/s. Every text and its verdict is a line of a file."""
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM

    from esprobe.bundled import BASE
    from esprobe.engines.models import find_model, load_tokenizer
    from esprobe.tasks.countdown.task import Countdown
    from esprobe.tasks.prompts import prompt_text
    from tests.helpers.published import published_rule

    found, task = find_model(BASE), Countdown()
    tokenizer, problems = load_tokenizer(found), task.training(ITERATIONS * PROBLEMS)
    model = AutoModelForCausalLM.from_pretrained(found.folder, dtype=torch.float32).eval()
    weights = {name: weight.data for name, weight in model.named_parameters()}
    base = {name: weight.clone() for name, weight in weights.items()}
    times = []
    with torch.inference_mode(), open("plain.jsonl", "w") as file:
        for iteration in range(ITERATIONS):
            batch = problems[iteration * PROBLEMS :][:PROBLEMS]
            texts = [prompt_text(task, problem.payload, "chat", tokenizer) for problem in batch]
            inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
            seeds = [iteration * POPULATION + member for member in range(POPULATION)]
            rewards = []
            for seed in seeds:
                torch.manual_seed(seed)
                for name, weight in weights.items():
                    weight.copy_(base[name] + SIGMA * torch.randn_like(weight))
                output = model.generate(**inputs, max_new_tokens=64, do_sample=False)
                said = tokenizer.batch_decode(output[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
                right = [published_rule(dict(problem.payload), text) for problem, text in zip(batch, said, strict=True)]
                file.writelines(json.dumps([seed, text, bool(ok)]) + "\n" for text, ok in zip(said, right, strict=True))
                rewards.append(float(np.mean(right)))
            z = (np.array(rewards) - np.mean(rewards)) / (np.std(rewards) + 1e-8)
            for seed, score in zip(seeds, z, strict=True):
                torch.manual_seed(seed)
                for weight in base.values():
                    weight.add_(torch.randn_like(weight), alpha=RATE / POPULATION * float(score))
            file.flush()
            times.append(time.perf_counter())
    return {"rate": (ITERATIONS - 1) * POPULATION * PROBLEMS / (times[-1] - times[0])}


def ours(engines: int) -> dict[str, float]:
    """The same by `train`, every text and score into SQLite: rollouts/s, and the share of the time lost between iterations."""
    from esprobe.bundled import BASE
    from esprobe.engines.open import open_pool
    from esprobe.pipeline.meter import Advance, Quiet
    from esprobe.pipeline.train import train
    from esprobe.plan.sweep import Sweep
    from esprobe.plan.training import Training

    class Watch(Quiet):
        """Notes when the rollouts of a member were finished."""

        def __init__(self) -> None:
            self.seen: list[float] = []

        def start(self, parts: Mapping[str, int], unit: str) -> Advance:
            return lambda part, count: self.seen.append(time.perf_counter())

    watch = Watch()
    sweep = Sweep("perturbation", (SIGMA,), POPULATION, model=BASE, greedy=False, training=True)
    training = Training("es", ITERATIONS, POPULATION, SIGMA, RATE, PROBLEMS)
    train(training, sweep, Path("ours.db"), "benchmark", watch, open_pool(engines))
    ends = watch.seen[POPULATION - 1 :: POPULATION]  # of the iterations
    total, later = ends[-1] - ends[0], range(1, ITERATIONS)
    paces = [(ends[i] - watch.seen[i * POPULATION + engines - 1]) / (POPULATION - engines) for i in later]
    return {"rate": len(later) * POPULATION * PROBLEMS / total, "lost": 1 - POPULATION * sum(paces) / total}


def update_memory() -> dict[str, float]:
    """Megabytes: the float32 size of a model of 135 million parameters, and the peak while it is read and updated."""
    import torch

    from esprobe.arms import Update
    from esprobe.weights.update import Base

    vocabulary, hidden, inner, shared, layers = LARGE
    sizes = {"embed": vocabulary * hidden} | {
        f"{layer}.{name}": size
        for layer in range(layers)
        for name, size in {
            **{"q": hidden * hidden, "o": hidden * hidden, "k": hidden * shared, "v": hidden * shared},
            **{"gate": hidden * inner, "up": hidden * inner, "down": hidden * inner, "norm1": hidden, "norm2": hidden},
        }.items()
    }
    base = Base(lambda precise: {name: torch.full((size,), 0.1) for name, size in sizes.items()})
    Base(lambda precise: {"a": torch.ones(1000)}).reach((Update((1,), (0.1,)),))  # what the libraries load at the first use
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    base.reach((Update((1, 2, 3), (0.1, -0.1, 0.2)),))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"size": 4 * sum(sizes.values()) / 1e6, "peak": (peak - before) * 1024 / 1e6}


def in_a_process(*words: str) -> dict[str, float]:
    """What this module prints when it is run with these words, in an empty folder."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    environment.pop("OMP_NUM_THREADS", None)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.benchmarks.training", *words]
        done = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows() -> list[Row]:
    """With one engine and with one per core, compared with the plain loop; the time lost between iterations; the memory."""
    counts = sorted({1, ENGINES})
    found: dict[str, list[dict[str, float]]] = {}

    def measured(kind: str) -> Callable[[], float]:
        def run() -> float:
            found.setdefault(kind, []).append(in_a_process(*kind.split()))
            return found[kind][-1]["rate"]

        return run

    rates = in_turns({kind: measured(kind) for kind in ("plain", *(f"ours {count}" for count in counts))}, ROUNDS)
    made = []
    for count in counts:
        mine, engines = rates[f"ours {count}"], f"{count} engine{'s' if count > 1 else ''}"
        beside = f"plain loop, {ENGINES} threads"
        plain = rates["plain"]
        made.append(
            Row(
                f"training, countdown-tiny-base, {engines}",
                statistics.median(mine),
                "rollouts/s",
                beside,
                statistics.median(plain),
                ratio(mine, plain),
            )
        )
        lost = statistics.median(one["lost"] for one in found[f"ours {count}"])
        made.append(Row(f"time lost between iterations, {engines}", 100 * lost, "%"))
    memory = in_a_process("memory")
    made.append(Row("memory of an update, 135 M parameters", memory["peak"], "MB", "the model in float32", memory["size"]))
    return made


def main() -> None:
    """Prints the table; `plain`, `ours N` and `memory` are what it starts in separate processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", nargs="?")
    parser.add_argument("engines", nargs="?", type=int, default=1)
    options = parser.parse_args()
    if options.kind is None:
        print(render(rows()))
        return
    kinds = {"plain": plain_loop, "ours": lambda: ours(options.engines), "memory": update_memory}
    print(json.dumps(kinds[options.kind]()))


if __name__ == "__main__":
    main()
