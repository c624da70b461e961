"""Rollouts per second of the bundled model, compared with a user's plain loop: `generate`, the published rule, JSON.

Both on the whole machine: the plain loop with torch's own threads, ours with one engine and with one a core. Start-up is not
counted on either side: the time runs from the first finished batch to the last. Greedy texts must be the same, each of them.
Run it with `python -m tests.benchmarks.sampling`; `--before FOLDER` measures another checkout in turns with this one.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from tests.benchmarks.table import Row, figure, in_turns, ratio, render

ROUNDS, DRAWS, T, SIGMA = 5, 16, 0.8, 0.01
ENGINES = os.cpu_count() or 1
PROMPT, TOKENS = 26, 39  # of a bundled problem and of its rollouts, on average


def plain_loop() -> None:
    """What a user would write; prints rollouts/s of both methods, after writing {"draw", "problem", "text"} a line."""
    import torch
    from transformers import AutoModelForCausalLM

    from esprobe.arms import Perturbation, perturbation_seed
    from esprobe.bundled import BUNDLED
    from esprobe.engines.models import find_model, load_tokenizer
    from esprobe.tasks.countdown.task import Countdown
    from esprobe.tasks.prompts import prompt_text
    from esprobe.weights import perturb
    from tests.helpers.published import published_rule

    found, task = find_model(BUNDLED), Countdown()
    tokenizer, problems = load_tokenizer(found), task.bundled()
    model = AutoModelForCausalLM.from_pretrained(found.folder, dtype=torch.float32).eval()
    texts = [prompt_text(task, problem.payload, "chat", tokenizer) for problem in problems]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    weights = {name: weight.data for name, weight in model.named_parameters()}
    base = {name: weight.clone() for name, weight in weights.items()}
    rates = {}
    with torch.inference_mode(), open("plain.jsonl", "a") as file:
        for method in ("perturbation", "temperature"):
            spent = 0.0
            for draw in range(DRAWS + 1):
                seed = perturbation_seed("iid", 42, draw)
                begun = time.perf_counter()
                if method == "perturbation":
                    torch.manual_seed(seed)
                    for name, weight in weights.items():
                        weight.copy_(base[name] + SIGMA * torch.randn_like(weight))
                    spent += time.perf_counter() - begun if draw else 0.0
                    perturb.perturb_all(weights, base, Perturbation("iid", seed, SIGMA))  # ours, uncounted: the same texts
                    begun = time.perf_counter()
                chosen = {"do_sample": True, "temperature": T, "top_k": 0} if method == "temperature" else {"do_sample": False}
                output = model.generate(**inputs, max_new_tokens=64, **chosen)
                said = tokenizer.batch_decode(output[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
                for i, (problem, text) in enumerate(zip(problems, said, strict=True)):
                    correct = published_rule(dict(problem.payload), text)
                    line = {"method": method, "draw": draw, "problem": problem.digest, "text": text, "correct": correct}
                    file.write(json.dumps(line | {"i": i}) + "\n")
                file.flush()
                spent += time.perf_counter() - begun if draw else 0.0  # the first warms up
            for name, weight in weights.items():
                weight.copy_(base[name])
            rates[method] = DRAWS * len(problems) / spent
    print(json.dumps(rates))


def ours(engines: int) -> None:
    """The same through `sample`, every text and score into SQLite; prints rollouts/s of both methods."""
    from esprobe.engines.open import open_pool
    from esprobe.pipeline.meter import Advance, Quiet
    from esprobe.pipeline.sample import sample
    from esprobe.plan.sweep import Sweep

    class Watch(Quiet):
        """Notes when rollouts were finished."""

        def __init__(self) -> None:
            self.seen: list[tuple[float, int]] = []

        def start(self, parts: Mapping[str, int], unit: str) -> Advance:
            return lambda part, count: self.seen.append((time.perf_counter(), count))

    rates = {}
    for method, value in (("perturbation", SIGMA), ("temperature", T)):
        watch = Watch()
        sweep = Sweep(method, (value,), draws=DRAWS * engines + engines, greedy=False)  # type: ignore[arg-type]
        sample(sweep, Path("ours.db"), "benchmark", watch, open_pool(engines))
        warm = engines - 1  # every engine's first batch warms it up
        seconds = watch.seen[-1][0] - watch.seen[warm][0]
        rates[method] = sum(count for _, count in watch.seen[warm + 1 :]) / seconds
    print(json.dumps(rates))


def in_a_process(folder: Path, checkout: Path, *words: str) -> dict[str, float]:
    """The rates that this module of a checkout prints when it is run with these words, in `folder`."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(checkout)}
    environment.pop("OMP_NUM_THREADS", None)
    command = [sys.executable, "-m", "tests.benchmarks.sampling", *words]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    rates: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return rates


def same_texts(folder: Path) -> int:
    """How many greedy texts of the plain loop ours has word for word; SystemExit if it has any other."""
    with open(folder / "plain.jsonl") as file:
        theirs = {
            (line["draw"], line["problem"]): line["text"] for line in map(json.loads, file) if line["method"] == "perturbation"
        }
    with closing(sqlite3.connect(folder / "ours.db")) as connection:
        sql = (
            "SELECT draw, digest, text FROM rollout JOIN problem ON problem.id = problem_id "
            "WHERE arm_id = (SELECT id FROM arm WHERE method = 'perturbation')"
        )
        mine = {(draw, digest): text for draw, digest, text in connection.execute(sql)}
    different = [key for key, text in theirs.items() if mine[key] != text]
    if different:
        raise SystemExit(f"{len(different)} of {len(theirs)} greedy texts differ from the plain loop's")
    return len(theirs)


def rows(before: Path | None = None, rounds: int = ROUNDS) -> list[Row]:
    """Both methods, with one engine and with one per core, compared with the plain loop; of the checkout `before` as well."""
    rates: dict[str, list[dict[str, float]]] = {}
    checkouts = {"ours": Path(__file__).parents[2]} | ({} if before is None else {"before": before.resolve()})
    counts = sorted({1, ENGINES})
    with tempfile.TemporaryDirectory() as name:

        def work(kind: str) -> Callable[[], Any]:
            def run() -> dict[str, float]:
                folder = Path(tempfile.mkdtemp(dir=name))
                whose, *engines = kind.split()
                measured = in_a_process(folder, checkouts.get(whose, checkouts["ours"]), "ours" if engines else "plain", *engines)
                (folder / "kind").write_text(kind)
                return measured

            return run

        kinds = ("plain", *(f"{whose} {count}" for count in counts for whose in checkouts))
        rates = in_turns({kind: work(kind) for kind in kinds}, rounds)  # type: ignore[arg-type, assignment]
        one = next(path.parent for path in Path(name).glob("*/kind") if path.read_text() == "plain")
        for path in Path(name).glob("*/ours.db"):
            path.rename(one / "ours.db")
            compared = same_texts(one)
    found = []
    for method in ("perturbation", "temperature"):
        of = {kind: [r[method] for r in measured] for kind, measured in rates.items()}
        for kind in kinds[1:]:
            whose, engines = kind.split()
            what = f"{method}, countdown-tiny, {engines} engine{'s' if int(engines) > 1 else ''}"
            beside = {f"plain loop, {ENGINES} threads": "plain"}
            if whose != "ours":
                what += f", {whose}"
            elif before is not None:
                beside["before"] = f"before {engines}"
            for name, theirs in beside.items():
                mine, other, least = of[kind], of[theirs], floor(method, int(engines))
                middle, their_middle = statistics.median(mine), statistics.median(other)
                found.append(Row(what, middle, "rollouts/s", name, their_middle, ratio(mine, other), least))
    print(f"{compared:,} greedy texts of perturbed models, each equal to the plain loop's", file=sys.stderr)
    return found


def floor(method: str, engines: int) -> str:
    """Operations and bytes of a rollout, and how often the slower of the two could be done by one core for each engine.

    Operations that no decoding can avoid: of each token, and of a prompt, which temperature sampling needs only once, without
    what the last layer makes of its keys and values. Bytes that one in batches of 128 reads: the weights once a step, and the
    keys and values of all tokens before, as if none lay in a cache.
    """
    from esprobe.bundled import BUNDLED
    from esprobe.engines.models import find_model

    config = find_model(BUNDLED).config
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    weights = layers * (4 * hidden * hidden + 3 * hidden * inner) + hidden * config["vocab_size"]
    of_prompts = (layers - 1) * (4 * hidden * hidden + 3 * hidden * inner) + 2 * hidden * hidden
    operations = 2 * (weights * TOKENS + of_prompts * (PROMPT if method == "perturbation" else 0))
    size = 4 * (weights * TOKENS / 128 + 2 * layers * hidden * (PROMPT * TOKENS + TOKENS**2 / 2))
    multiplied, read = speeds(hidden, inner)
    rate = engines / max(operations / multiplied, size / read)
    return f"{operations / 1e6:.0f} MFLOP, {size / 1e6:.1f} MB each: {figure(rate)}/s"


@cache
def speeds(hidden: int, inner: int) -> tuple[float, float]:
    """Of one core: operations per second in matrices of the model's size, and bytes per second read from memory."""
    import torch

    torch.set_num_threads(1)
    a, b, long = torch.randn(128, hidden), torch.randn(hidden, inner), torch.ones(1 << 25)
    multiplied = min(_seconds(lambda: torch.mm(a, b)) for _ in range(200))
    read = min(_seconds(long.sum) for _ in range(10))
    return 2 * a.shape[0] * hidden * inner / multiplied, 4 * len(long) / read


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Prints the table; `plain` and `ours N` are what it starts in separate processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", nargs="?")
    parser.add_argument("engines", nargs="?", type=int, default=1)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another checkout, to be measured as well")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how many times each is measured, in turns")
    options = parser.parse_args()
    if options.kind == "plain":
        plain_loop()
    elif options.kind == "ours":
        ours(options.engines)
    else:
        print(render(rows(options.before, options.rounds)))


if __name__ == "__main__":
    main()
