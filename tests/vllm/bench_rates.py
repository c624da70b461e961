"""Rollouts per second of perturbed models of a real size: a plain loop over `generate`, and both backends. A script.

Each way is a process of its own that has opened the model and waits; in every round each makes one draw, one after the other, on
all cores of the machine. A draw is everything from the noise to the verdicts; the writing is left out, on both sides.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from time import perf_counter
from typing import Any

from tests.benchmarks.table import in_turns

PLAIN = "plain loop, published noise"
WITHOUT = "transformers, without Numba"
WAYS = (PLAIN, "transformers", WITHOUT, "vllm")

Draw = Callable[[int, int], tuple[float, list[list[int]]]]  # seed, most tokens → seconds for the weights, tokens of each prompt


def plain(found: Any, prompts: list[list[int]], sigma: float) -> Draw:
    """What a user would write, with the noise of the published worker: one generator, seeded again for every parameter."""
    import torch
    from transformers import AutoModelForCausalLM

    from esprobe.engines.forward import padded

    model = AutoModelForCausalLM.from_pretrained(found.folder, dtype=torch.float32).eval()
    weights = {name: weight.data for name, weight in model.named_parameters()}
    base = {name: weight.clone() for name, weight in weights.items()}
    ids, mask = padded(prompts)

    @torch.inference_mode()
    def draw(seed: int, tokens: int) -> tuple[float, list[list[int]]]:
        begun = perf_counter()
        for name, weight in weights.items():
            torch.manual_seed(seed)
            weight.copy_(base[name] + sigma * torch.randn_like(weight))
        spent = perf_counter() - begun
        made = model.generate(input_ids=ids, attention_mask=mask.long(), max_new_tokens=tokens, do_sample=False)
        return spent, made[:, ids.shape[1] :].tolist()

    return draw


def ours(way: str, found: Any, ends: list[int], prompts: list[list[int]], sigma: float) -> Draw:
    """A backend as a sweep drives it."""
    from esprobe.arms import Perturbation, Weights
    from esprobe.engines.backend import Decoding
    from esprobe.engines.engine import EngineSpec, open_backend
    from esprobe.weights import perturb

    if way == WITHOUT:
        perturb._fused = lambda: None  # type: ignore[assignment]
    backend = open_backend(EngineSpec(way.split(",")[0], found, "float32", tuple(ends), perturbs=True))
    backend.prepare()

    def draw(seed: int, tokens: int) -> tuple[float, list[list[int]]]:
        begun = perf_counter()
        backend.set_weights(Weights(perturbation=Perturbation("iid", seed, sigma)))
        spent = perf_counter() - begun
        return spent, [g.ids for g in backend.generate(prompts, Decoding(tokens))]

    return draw


def wait_for_draws(asked: argparse.Namespace) -> None:
    """One draw for each seed that comes, a line; answers with its seconds, and how many of them the weights took."""
    from esprobe.engines.models import find_model, load_tokenizer
    from esprobe.tasks.countdown.task import Countdown
    from esprobe.tasks.prompts import prompt_text
    from esprobe.tasks.texts import texts
    from tests.helpers.published import published_rule

    found, task = find_model(asked.model), Countdown()
    tokenizer, problems = load_tokenizer(found), task.bundled()[: asked.problems]
    prompts = [tokenizer(prompt_text(task, p.payload, "chat", tokenizer), add_special_tokens=False).input_ids for p in problems]
    ends = found.end_ids(tokenizer)
    made = partial(plain) if asked.way == PLAIN else partial(ours, asked.way, ends=ends)
    draw: Draw = made(found=found, prompts=prompts, sigma=asked.sigma)
    draw(0, 2)  # compiles, and proves that the noise reaches every weight
    print("ready", flush=True)
    for seed in map(int, sys.stdin):
        begun = perf_counter()
        weights, ids = draw(seed, asked.max_new_tokens)
        for problem, text in zip(problems, texts(tokenizer, prompts, ids, set(ends)), strict=True):
            published_rule(dict(problem.payload), text)
        print(json.dumps([perf_counter() - begun, weights]), flush=True)


def started(way: str, words: list[str]) -> Any:
    """A process that waits for the seeds of draws, once it is ready."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    environment.pop("OMP_NUM_THREADS", None)  # torch's own: one a core
    command = [sys.executable, "-m", "tests.vllm.bench_rates", *words, "--way", way]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if not any(line == "ready\n" for line in process.stdout):
        raise SystemExit(f"{way}: it did not start")
    return process


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a model's name or folder")
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--sigma", type=float, default=0.001)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way is not None:
        wait_for_draws(asked)
        return
    with ExitStack() as ends:
        processes = {way: ends.enter_context(started(way, sys.argv[1:])) for way in WAYS}
        weights: dict[str, list[float]] = {way: [] for way in WAYS}
        seeds = iter(range(1, 1 << 20))

        def draw(way: str) -> float:
            process = processes[way]
            print(next(seeds), file=process.stdin, flush=True)
            seconds, spent = json.loads(process.stdout.readline())
            weights[way].append(spent)
            return float(seconds)

        times = in_turns({way: partial(draw, way) for way in WAYS}, asked.rounds)
        for process in processes.values():
            process.stdin.close()
    print(f"{asked.model}: {asked.problems} prompts, {asked.max_new_tokens} tokens, float32, {os.cpu_count()} cores; ", end="")
    print(f"medians of {asked.rounds} draws (min–max)")
    print(f"{'':30}{'rollouts/s':>22}{'× plain loop':>22}{'s for the weights':>24}")
    for way, spent in times.items():
        rates = [asked.problems / seconds for seconds in spent]
        ratios = [theirs / seconds for theirs, seconds in zip(times[PLAIN], spent, strict=True)]
        print(f"{way:30}{spread(rates):>22}{spread(ratios):>22}{spread(weights[way]):>24}")


def spread(values: list[float]) -> str:
    """Median, minimum and maximum."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main()
