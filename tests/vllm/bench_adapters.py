"""Draws a minute on vLLM: a dense perturbation after the other against many low-rank ones in one batch. A script.

A low-rank perturbation is σ/√r · B·A for every linear layer, here with r = 1, and is given to vLLM as an adapter of its own; all
prompts of all of them are one batch. It is another distribution than dense noise, so this compares what a draw costs and nothing
else. What counts is everything that a draw needs, for an adapter its making, its file and its loading.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from esprobe.arms import Perturbation, Weights
from esprobe.engines import vllm_backend
from esprobe.engines.backend import Decoding
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.prompts import prompt_text

SIGMA, RANK = 0.001, 1
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def linear_layers(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """The name and the (out, in) of every layer that an adapter can change."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in list(file.keys()):
                if name.endswith(tuple(f"{part}.weight" for part in LINEAR)):
                    rows, columns = file.get_slice(name).get_shape()
                    yield name.removesuffix(".weight"), (rows, columns)


def write_adapter(out: Path, model: Path, seed: int, dtype: torch.dtype, device: str) -> None:
    """Noise of rank r as an adapter's folder; both factors carry √(σ/√r), so that alpha = r leaves them as they are."""
    out.mkdir()
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": RANK, "target_modules": list(LINEAR)}
    (out / "adapter_config.json").write_text(json.dumps(settings))
    generator = torch.Generator(device).manual_seed(seed)
    scale = (SIGMA / RANK**0.5) ** 0.5
    tensors = {}
    for name, (rows, columns) in linear_layers(model):
        for factor, shape in (("lora_A", (RANK, columns)), ("lora_B", (rows, RANK))):
            made = torch.randn(shape, generator=generator, device=device) * scale
            tensors[f"base_model.model.{name}.{factor}.weight"] = made.to(dtype).cpu()
    save_file(tensors, out / "adapter_model.safetensors")


def dense(model: Any, dtype: str, prompts: list[list[int]], draws: int, tokens: int) -> float:
    """Seconds a draw, of draws after the first, which proves that the whole model was perturbed."""
    backend = vllm_backend.VllmBackend(model, dtype, end_ids=())
    decoding = Decoding(tokens)
    begun = 0.0
    for draw in range(draws + 1):
        if draw == 1:
            begun = perf_counter()
        backend.set_weights(Weights(perturbation=Perturbation("iid", draw, SIGMA)))
        backend.generate(prompts, decoding)
    spent = (perf_counter() - begun) / draws
    backend.close()
    return spent


def adapters(model: Any, dtype: str, prompts: list[list[int]], counts: list[int], tokens: int) -> Iterator[tuple[int, float]]:
    """For each count of adapters in a batch: it, and seconds a draw; a batch of the first count is sent before, to warm up."""
    from vllm import SamplingParams, TokensPrompt
    from vllm.lora.request import LoRARequest

    vllm_backend._set_if_unset(vllm_backend._QUIET)
    platform = vllm_backend._for_platform(model, dtype)
    settings = {"dtype": dtype, "enable_lora": True, "max_loras": max(counts), "max_lora_rank": 8, "max_num_seqs": 1024}
    engine = vllm_backend._started(model, settings | platform)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parameters = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
    memory = Path("/dev/shm")
    number = 0
    for round_, count in enumerate([counts[0], *counts]):
        folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        begun = perf_counter()
        requests = []
        for _ in range(count):
            number += 1  # never again: the prefix cache goes by it
            write_adapter(folder / str(number), model.folder, number, getattr(torch, dtype), device)
            requests.append(LoRARequest(str(number), number, str(folder / str(number))))
        engine.generate(
            [TokensPrompt(prompt_token_ids=prompt) for _ in requests for prompt in prompts],
            parameters,
            lora_request=[request for request in requests for _ in prompts],
            use_tqdm=False,
        )
        spent = (perf_counter() - begun) / count
        shutil.rmtree(folder)
        if round_:
            yield count, spent
    engine.llm_engine.engine_core.shutdown()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a model's folder")
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--problems", type=int, default=128)
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--draws", type=int, default=8, help="dense ones")
    parser.add_argument("--adapters", default="8,32,64")
    asked = parser.parse_args()
    model, task = find_model(asked.model), Countdown()
    tokenizer = load_tokenizer(model)
    problems = task.bundled()[: asked.problems]
    prompts = [tokenizer(prompt_text(task, p.payload, "chat", tokenizer), add_special_tokens=False).input_ids for p in problems]
    length = sum(map(len, prompts)) / len(prompts)
    print(f"{len(prompts)} prompts of {length:.0f} tokens, {asked.max_new_tokens} new ones, {asked.dtype}")
    beside = dense(model, asked.dtype, prompts, asked.draws, asked.max_new_tokens)
    print(f"{'dense, one after the other':36} {60 / beside:9.1f} draws a minute", flush=True)
    for count, spent in adapters(model, asked.dtype, prompts, [int(c) for c in asked.adapters.split(",")], asked.max_new_tokens):
        print(f"{f'{count} adapters in a batch':36} {60 / spent:9.1f} draws a minute, ×{beside / spent:.2f}", flush=True)


if __name__ == "__main__":
    main()
