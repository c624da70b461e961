"""Writes a model of Qwen2.5-0.5B's shape with random float16 weights: `python -m tests.benchmarks.random_model FOLDER`.

For measuring speed where no real model is at hand. Its tokenizer is the bundled model's; what it writes is nonsense, and it
hardly ever ends before the longest answer that is allowed. `--tiny` keeps the form and makes it small enough for a CPU.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from esprobe.bundled import BUNDLED
from esprobe.engines.models import find_model
from tests.benchmarks.bench_gpu_noise import FFN, HEADS, HIDDEN, KV_HEADS, LAYERS, VOCABULARY, shapes


def config(*, tiny: bool = False) -> dict[str, Any]:
    """What its config.json says."""
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": 128 if tiny else HIDDEN,
        "intermediate_size": 256 if tiny else FFN,
        "max_position_embeddings": 32768,
        "num_attention_heads": 2 if tiny else HEADS,
        "num_hidden_layers": 2 if tiny else LAYERS,
        "num_key_value_heads": 1 if tiny else KV_HEADS,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": True,
        "dtype": "float16",
        "vocab_size": 512 if tiny else VOCABULARY,
        "eos_token_id": 1,
    }


def write(folder: Path, *, tiny: bool = False) -> None:
    """Makes the folder, which must not exist."""
    made, bundled = config(tiny=tiny), find_model(BUNDLED).folder
    made["eos_token_id"] = json.loads((bundled / "config.json").read_text())["eos_token_id"]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(made, indent=2))
    for path in (*bundled.glob("*token*"), *bundled.glob("*.jinja")):
        shutil.copy(path, folder)
    generator = torch.Generator().manual_seed(0)
    made_of = shapes(
        layers=made["num_hidden_layers"],
        hidden=made["hidden_size"],
        ffn=made["intermediate_size"],
        vocabulary=made["vocab_size"],
        kv=made["hidden_size"] // made["num_attention_heads"] * made["num_key_value_heads"],
    )
    weights = {}
    for name, shape in made_of.items():
        if name.endswith("norm.weight"):
            weights[name] = torch.ones(shape, dtype=torch.float16)
        else:
            weights[name] = (torch.randn(shape, generator=generator) * 0.02).half()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    write(asked.folder, tiny=asked.tiny)
