"""What the vLLM backend refuses, in words of the user's: prompts, temperatures, and models that it would read or run wrongly."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from esprobe.arms import BASE
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Decoding
from esprobe.engines.models import find_model
from esprobe.engines.vllm_backend import VllmBackend
from esprobe.errors import UserError
from tests.vllm.conftest import GREEDY, PROMPTS, Pair, draw, run_script, tied


@tied
def test_prompts_that_fill_the_context_are_refused_and_longer_rollouts_cut(pair: Pair) -> None:
    ours, context = pair.vllm, pair.model.context_length()
    nearly = (PROMPTS[0] * 200)[: context - 5]
    for backend in (ours, pair.transformers):
        backend.set_weights(BASE)
        with pytest.raises(UserError, match=f"a prompt has {context} tokens"):
            backend.generate([(PROMPTS[0] * 200)[:context]], GREEDY)
    prompts = [nearly, PROMPTS[1]]
    assert ours.generate(prompts, GREEDY) == pair.transformers.generate(prompts, GREEDY)


@tied
def test_a_token_beyond_the_embedding_is_refused(pair: Pair) -> None:
    with pytest.raises(UserError, match="a prompt has token 275, but the embedding"):
        pair.vllm.generate([[1, 2], [275]], GREEDY)


@tied
@pytest.mark.parametrize("temperature", [0.005, 2.5])
def test_temperatures_that_vllm_would_change_or_refuse_are_refused(pair: Pair, temperature: float) -> None:
    with pytest.raises(UserError, match=rf"T from 0\.01 to 2, not {temperature}; take another T, or --backend transformers"):
        pair.vllm.generate(PROMPTS[:1], Decoding(8, temperature, (1,)))


@tied
def test_a_quantized_model_is_not_perturbed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair.vllm, "quantized", True)
    with pytest.raises(UserError, match="is quantized"):
        pair.vllm.set_weights(draw(1))


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(find_model(BUNDLED).folder, folder / "model"))


def loading(folder: Path) -> str:
    """What the user is told of a model that vLLM starts with, in a separate process; empty if it runs."""
    lines = run_script("loading.py", folder).splitlines()
    return next((line for line in lines if line.startswith("refused: ")), "")


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("layers.3.mlp.down_proj", "model.layers.3.mlp.down_proj.weight is missing"),
        ("layers.1.self_attn.k_proj", "model.layers.1.self_attn.qkv_proj.weight and 1 more are missing"),
        ("model.norm.weight", "missing"),
    ],
)
def test_a_tensor_that_the_checkpoint_lacks_is_refused(tmp_path: Path, lost: str, says: str) -> None:
    folder = copied(tmp_path)
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if lost not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    told = loading(folder)
    assert says in told or lost in told, told


@pytest.mark.parametrize("layers", [3, 5])
def test_a_config_with_other_layers_than_the_checkpoint_is_refused(tmp_path: Path, layers: int) -> None:
    folder = copied(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"num_hidden_layers": layers, "layer_types": ["full_attention"] * layers})
    )
    told = loading(folder)
    assert f"layers.{min(layers, 4)}" in told, told


def test_weights_that_only_vllm_would_read_are_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    shutil.copy(folder / "model.safetensors", folder / "older.safetensors")
    with pytest.raises(UserError, match=r"vLLM would read 'older\.safetensors'"):
        VllmBackend(find_model(str(folder)), "float32", [258])
