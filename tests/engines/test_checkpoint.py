"""A model is loaded only if its checkpoint is what its config describes, and perturbed only if noise reaches every weight."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, T5Config

from esprobe import arms
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Decoding
from esprobe.engines.checkpoint import load, unreached
from esprobe.engines.models import find_model
from esprobe.engines.transformers_backend import TransformersBackend
from esprobe.errors import UserError

Weights = dict[str, Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled model."""
    return Path(shutil.copytree(find_model(BUNDLED).folder, tmp_path / "model"))


def rewrite(folder: Path, change: Callable[[Weights], Weights]) -> None:
    weights = change(load_file(folder / "model.safetensors"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def configure(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def loaded(folder: Path) -> Any:
    return load(find_model(str(folder)), "float32")


def without(*parts: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: w for name, w in weights.items() if not any(part in name for part in parts)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("layers.3.mlp.down_proj"), r"model\.layers\.3\.mlp\.down_proj\.weight is missing"),
        (without("layers.3.mlp"), r"model\.layers\.3\.mlp\.gate_proj\.weight and 2 more are missing"),
        (without("embed_tokens"), r"model\.embed_tokens\.weight and 1 more are missing"),
        (without("layers.1.self_attn.q_proj.bias"), r"q_proj\.bias is missing"),
        (lambda weights: {f"_orig_mod.{name}": w for name, w in weights.items()}, r"missing.*_orig_mod\.\S+ and .* left over"),
        (lambda weights: weights | {"v_head.summary.weight": torch.zeros(1, 96)}, r"v_head\.summary\.weight is left over"),
        (
            lambda weights: weights | {"model.norm.weight": torch.ones(95)},
            r"model\.norm\.weight \(95,\) for \(96,\) is of another shape",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_the_first_tensor(
    folder: Path, change: Callable[[Weights], Weights], says: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(UserError, match=says):
        loaded(folder)


@pytest.mark.parametrize(
    ("layers", "says"),
    [(5, r"model\.layers\.4\.\S+ and 11 more are missing"), (3, r"model\.layers\.3\.\S+ and 11 more are left over")],
)
def test_a_config_with_other_layers_than_the_checkpoint_is_refused(folder: Path, layers: int, says: str) -> None:
    configure(folder, num_hidden_layers=layers, layer_types=["full_attention"] * layers)
    with pytest.raises(UserError, match=says):
        loaded(folder)


def test_tied_heads_and_buffers_of_old_checkpoints_are_no_misfit(folder: Path) -> None:
    rewrite(folder, lambda w: w | {"lm_head.weight": w["model.embed_tokens.weight"].clone()})
    rewrite(folder, lambda w: w | {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(16) for i in range(4)})
    live = loaded(folder)
    assert unreached(live, find_model(str(folder))) is None


def in_shards(folder: Path, *, named: dict[str, str] | None = None, second: Weights | None = None) -> None:
    """The weights in two files and an index, with entries of it and tensors of the second file as given."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, files = sorted(weights), ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    halves = ({n: weights[n] for n in names[:20]}, {n: weights[n] for n in names[20:]} | (second or {}))
    for file, half in zip(files, halves, strict=True):
        save_file(half, folder / file, metadata={"format": "pt"})
    index = dict.fromkeys(names[:20], files[0]) | dict.fromkeys(names[20:], files[1]) | (named or {})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


@pytest.mark.parametrize(
    ("shards", "says"),
    [
        (
            {"named": {"model.layers.4.mlp.up_proj.weight": "model-00002-of-00002.safetensors"}},
            r"layers\.4\S+, which none",
        ),
        (
            {"named": {"model.norm.weight": "model-00001-of-00002.safetensors"}},
            r"00002\S+ contains model\.norm\.weight, where",
        ),
        ({"second": {"model.embed_tokens.weight": torch.zeros(275, 96)}}, r"both contain model\.embed_tokens\.weight"),
    ],
)
def test_shards_that_are_not_what_their_index_says_are_refused(folder: Path, shards: dict[str, Any], says: str) -> None:
    in_shards(folder, **shards)
    with pytest.raises(UserError, match=says):
        loaded(folder)


def test_shards_as_their_index_says_are_loaded(folder: Path) -> None:
    in_shards(folder)
    loaded(folder)


def test_whole_numbers_without_a_scale_are_no_weights(folder: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    rewrite(folder, lambda weights: weights | {name: (weights[name] * 10).to(torch.int8)})
    with pytest.raises(UserError, match=r"up_proj\.weight contains whole numbers \(I8\)"):
        loaded(folder)


def test_files_that_change_while_they_are_loaded_are_refused(folder: Path) -> None:
    model = find_model(str(folder))
    rewrite(folder, lambda weights: {name: 2 * w for name, w in weights.items()})
    with pytest.raises(UserError, match="changed while it was loaded"):
        load(model, "float32")


def test_an_encoder_with_a_decoder_is_one_clear_error(tmp_path: Path) -> None:
    from transformers import T5ForConditionalGeneration

    config = T5Config(vocab_size=60, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="encoder with a decoder"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"quantization_config": {"quant_method": "fp8"}},
        {"text_config": {"quantization_config": {"quant_method": "gptq"}}},
        {"compression_config": {"format": "int-quantized"}},
    ],
)
def test_a_quantized_model_is_not_perturbed(folder: Path, config: dict[str, Any]) -> None:
    live = loaded(folder)
    assert unreached(live, find_model(str(folder))) is None
    configure(folder, **config)
    assert "quantized" in str(unreached(live, find_model(str(folder))))


def test_weights_that_are_no_floating_point_numbers_are_not_perturbed(folder: Path) -> None:
    live, model = loaded(folder), find_model(str(folder))
    for dtype in (torch.int8, torch.float8_e4m3fn):
        packed = torch.zeros(96, 96).to(dtype)
        live.model.layers[2].self_attn.o_proj.weight = torch.nn.Parameter(packed, requires_grad=False)
        assert "'model.layers.2.self_attn.o_proj.weight' has" in str(unreached(live, model))


def test_weights_that_the_model_holds_as_buffers_are_not_left_out(folder: Path) -> None:
    live = loaded(folder)
    layer = live.model.layers[1].mlp.down_proj
    weight = layer.weight.data
    del layer.weight
    layer.register_buffer("weight", weight)
    assert "'model.layers.1.mlp.down_proj.weight' as a buffer" in str(unreached(live, find_model(str(folder))))


def test_a_weight_under_another_name_than_the_checkpoints_is_not_perturbed(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=60, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, tie_word_embeddings=True
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    rewrite(tmp_path, lambda weights: {name.removeprefix("model."): w for name, w in weights.items()})  # as base models have them
    backend = TransformersBackend(find_model(str(tmp_path)), "float32", [0])
    assert len(backend.generate([[5, 6, 7]], Decoding(4))) == 1
    for perturb in (backend.prepare, lambda: backend.set_weights(arms.Weights(perturbation=arms.Perturbation("iid", 1, 0.01)))):
        with pytest.raises(UserError, match="not in the checkpoint, so its noise is not defined"):
            perturb()


def test_a_token_beyond_the_embedding_is_refused() -> None:
    backend = TransformersBackend(find_model(BUNDLED), "float32", [258])
    with pytest.raises(UserError, match="a prompt has token 275, but the embedding"):
        backend.generate([[1, 2], [275]], Decoding(4))
