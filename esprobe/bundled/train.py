"""Trains `countdown-tiny` from scratch on generated problems: `python -m esprobe.bundled.train --help`.

A real Qwen2 of 0.4 million parameters that proposes plausible expressions. The number of steps is fixed, not the time, so that
the same command gives the same model on the same machine.
"""

import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from esprobe.bundled import tokenizer as tiny_tokenizer
from esprobe.errors import UserError
from esprobe.tasks.countdown import generate
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.prompts import prompt_text
from esprobe.tasks.records import load_problems

IGNORED = -100  # a label that counts for nothing in the loss


def config(vocabulary: int) -> Qwen2Config:
    """The architecture: hidden 96, 4 layers, 3 heads, FFN 192, tied embeddings."""
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )


def completion(made: generate.Made) -> str:
    """What the model should say after the prefill: the steps, then the answer without its outer parentheses."""
    return "\n" + "".join(step + "\n" for step in made.steps) + f"</think>\n<answer> {made.solution[1:-1]} </answer>"


def rambling(made: generate.Made, rng: random.Random) -> str:
    """What a model says that was never trained to answer: sums that lead nowhere, then the bare target without answer tags."""
    first, second, *rest = rng.sample(made.numbers, len(made.numbers))
    steps = [f"{first} + {second} = {first + second}"]
    if rng.random() < 0.5:
        steps.append(f"{first + second} + {rest[0]} = {first + second + rest[0]}")
    return "\n" + "".join(step + "\n" for step in steps) + f"</think>\n{made.target}"


def mixed(share: float, seed: int) -> Callable[[generate.Made], str]:
    """Completions of which a share rambles, as pre-training texts do; the others are good."""
    rng = random.Random(seed)
    return lambda made: rambling(made, rng) if rng.random() < share else completion(made)


def batches(
    problems: Iterator[generate.Made], tokenizer: PreTrainedTokenizerFast, size: int, say: Callable[[generate.Made], str]
) -> Iterator[tuple[Tensor, Tensor]]:
    """(ids, labels), each (size, longest): padded on the right, labels only where the completion `say` is."""
    task = Countdown()
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    while True:
        rows = []
        for made in islice(problems, size):
            prompt = prompt_text(task, task.problem(made.record).payload, "chat", tokenizer)
            ids = tokenizer(prompt, add_special_tokens=False).input_ids
            answer = [*tokenizer(say(made), add_special_tokens=False).input_ids, end]
            rows.append((ids + answer, [IGNORED] * len(ids) + answer))
        longest = max(len(ids) for ids, _ in rows)
        ids_batch = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows])
        labels = torch.tensor([wanted + [IGNORED] * (longest - len(wanted)) for _, wanted in rows])
        yield ids_batch, labels


def optimizers_of(model: Any, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for matrices, AdamW for the rest (embeddings, norms, biases)."""
    named = dict(model.named_parameters())
    matrices = [p for name, p in named.items() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in named.items() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, weight_decay=0.0, betas=(0.9, 0.95)),
    ]


def learn(model: Any, optimizers: list[torch.optim.Optimizer], ids: Tensor, labels: Tensor, rate: float) -> float:
    """One step on one batch; returns its loss."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
    loss = model(input_ids=ids, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return float(loss.item())


def train(
    out: Path, exclude: list[Path], steps: int, batch: int, seed: int, peak: float, threads: int, ramblings: float = 0.0
) -> float:
    """Trains and saves model and tokenizer (fp16 safetensors) into `out`; returns the mean loss of the last 100 steps.

    `ramblings` is the share of training texts that ramble (see `rambling`).

    The learning rate warms up over 50 steps, then decays linearly to 0.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    task = Countdown()
    held_out = task.bundled() + [p for file in exclude for p in load_problems(task, file)]
    keys = {generate.key(p.payload["numbers"], p.payload["target"]) for p in held_out}
    tokenizer = tiny_tokenizer.build()
    model: Any = Qwen2ForCausalLM(config(len(tokenizer)))  # type: ignore[no-untyped-call]
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    optimizers = optimizers_of(model, peak)
    losses: list[float] = []
    data = batches(generate.generate(seed + 1, exclude=keys), tokenizer, batch, mixed(ramblings, seed + 3))
    columns = (*Progress.get_default_columns()[:3], TimeRemainingColumn(), TextColumn("loss {task.fields[loss]:.3f}"))
    with Progress(*columns) as progress:
        bar = progress.add_task("training", total=steps, loss=float("nan"))
        for step, (ids, labels) in enumerate(islice(data, steps)):
            rate = peak * min((step + 1) / 50, (steps - step) / max(1, steps - 50))
            losses.append(learn(model, optimizers, ids, labels, rate))
            progress.update(bar, advance=1, loss=sum(losses[-100:]) / len(losses[-100:]))
    out.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(out)
    sample = next(generate.generate(seed + 2))
    prompt = prompt_text(task, task.problem(sample.record).payload, "chat", tokenizer)
    tiny_tokenizer.save(tokenizer, out, [prompt, completion(sample), "Grüße, 你好\n\t<think>"])
    return sum(losses[-100:]) / len(losses[-100:])


def main(
    out: Annotated[Path, typer.Option(help="Folder for the trained model.")],
    exclude: Annotated[
        list[Path] | None, typer.Option("--exclude", "-x", help="Data file with problems not to train on (repeatable).")
    ] = None,
    steps: Annotated[int, typer.Option(min=100, envvar="ESPROBE_TINY_STEPS", help="Optimizer steps.")] = 1800,
    batch: Annotated[int, typer.Option(min=1, help="Problems per step.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of weights and problems.")] = 1,
    peak: Annotated[float, typer.Option(help="Highest learning rate.")] = 3e-3,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    ramblings: Annotated[float, typer.Option(min=0, max=1, help="Share of training texts that ramble and do not answer.")] = 0.0,
) -> None:
    """Trains countdown-tiny; the bundled test set is always excluded."""
    try:
        loss = train(out, exclude or [], steps, batch, seed, peak, threads, ramblings)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    print(f"loss {loss:.3f} over the last 100 steps; saved to {out}")


if __name__ == "__main__":
    typer.run(main)
