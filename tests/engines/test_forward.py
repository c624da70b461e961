"""Our forward pass gives transformers' tokens, for every shape of the models that it takes, and leaves the others alone."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

from esprobe.bundled import BUNDLED
from esprobe.engines.dense import DenseForward
from esprobe.engines.forward import TransformersForward
from esprobe.engines.models import find_model
from esprobe.engines.probe import fitting

SMALL: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 128,
    "initializer_range": 0.4,
}


def made(config: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


MODELS = {
    "as many keys as heads": Qwen2Config(**SMALL, num_key_value_heads=6),
    "grouped keys, tied": Qwen2Config(**SMALL, num_key_value_heads=2, tie_word_embeddings=True),
    "one key for all heads": Qwen2Config(**SMALL, num_key_value_heads=1),
    "llama": LlamaConfig(**SMALL, num_key_value_heads=3),
    "llama, wide heads": LlamaConfig(**SMALL, num_key_value_heads=3, head_dim=16),
}


def prompts(seed: int, rows: int, shared: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(60, (shared,), generator=generator).tolist()
    return [first + torch.randint(60, (1 + row % 7,), generator=generator).tolist() for row in range(rows)]


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("shared", [0, 1, 9])
@torch.inference_mode()
def test_logits_equal_those_of_transformers_step_by_step(config: Any, shared: int) -> None:
    model = made(config)
    ours, theirs = DenseForward(model), TransformersForward(model)
    asked = prompts(shared, 11, shared)
    mine, reference = ours.start(asked), theirs.start(asked)
    for step in range(40):
        assert torch.allclose(mine, reference, rtol=1e-3, atol=2e-4), step
        token = reference.argmax(-1)
        if step % 8 == 5:
            rows = torch.arange(len(token))[: len(token) - 1]
            ours.keep(rows)
            theirs.keep(rows)
            token = token[rows]
        mine, reference = ours.step(token), theirs.step(token)


@torch.inference_mode()
def test_remembered_prompts_give_the_same_until_the_weights_change() -> None:
    model = made(MODELS["llama"])
    ours = DenseForward(model)
    asked = prompts(1, 5, 3)
    first = ours.start(asked, remember=True).clone()
    after = [ours.step(torch.full((5,), token)).clone() for token in range(20)]
    ours.start(prompts(2, 4, 3))
    assert torch.equal(ours.start(asked, remember=True), first)
    ours.keep(torch.tensor([0, 2, 3]))
    ours.step(torch.tensor([1, 1, 1]))
    assert torch.equal(ours.start(asked, remember=True), first)
    assert all(torch.equal(ours.step(torch.full((5,), token)), logits) for token, logits in enumerate(after))
    model.model.layers[0].self_attn.k_proj.weight.mul_(1.5)
    model.model.layers[1].mlp.up_proj.weight.mul_(0.5)
    ours.forget()
    changed = ours.start(asked, remember=True)
    assert not torch.allclose(changed, first)
    assert torch.allclose(changed, TransformersForward(model).start(asked), rtol=1e-3, atol=2e-4)


@torch.inference_mode()
def test_twins_read_at_once_without_disturbing_each_other() -> None:
    model = made(MODELS["llama"])
    alone, (first, second) = DenseForward(model), DenseForward(model).twins(2)
    asked, others = prompts(1, 5, 3), prompts(2, 4, 0)
    expected = [alone.start(asked, remember=True).clone(), *(alone.step(torch.full((5,), i)).clone() for i in range(20))]
    expected_others = [alone.start(others).clone(), *(alone.step(torch.full((4,), i)).clone() for i in range(20))]
    assert torch.equal(first.start(asked, remember=True), expected[0])
    assert torch.equal(second.start(others), expected_others[0])
    for i in range(20):
        assert torch.equal(first.step(torch.full((5,), i)), expected[i + 1])
        assert torch.equal(second.step(torch.full((4,), i)), expected_others[i + 1])
    assert torch.equal(first.start(asked, remember=True), expected[0])
    assert TransformersForward(model).twins(2)[1:] == []


def test_a_model_that_it_would_get_wrong_is_left_to_transformers() -> None:
    others = {
        "another family": MistralConfig(**SMALL, num_key_value_heads=2),
        "another activation": LlamaConfig(**SMALL, num_key_value_heads=2, hidden_act="gelu"),
        "other positions": LlamaConfig(
            **SMALL, num_key_value_heads=2, rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
        ),
        "biases elsewhere": LlamaConfig(**SMALL, num_key_value_heads=2, mlp_bias=True),
    }
    for name, config in others.items():
        assert type(fitting(made(config))) is TransformersForward, name
    half = AutoModelForCausalLM.from_pretrained(find_model(BUNDLED).folder, dtype=torch.bfloat16)
    assert type(fitting(half)) is TransformersForward
    changed = made(MODELS["llama"])
    changed.model.layers[0].register_forward_hook(lambda _module, _inputs, output: output * 1.1)
    assert type(fitting(changed)) is TransformersForward  # looks right, and its logits are not


@pytest.mark.parametrize("size", [{"vocab_size": 8}, {"max_position_embeddings": 8}, {"max_position_embeddings": 10**12}])
def test_small_vocabularies_and_contexts_of_any_length_are_taken(size: dict[str, int]) -> None:
    assert type(fitting(made(LlamaConfig(**SMALL | size, num_key_value_heads=2)))) is DenseForward


def test_the_bundled_model_is_taken() -> None:
    model = AutoModelForCausalLM.from_pretrained(find_model(BUNDLED).folder, dtype=torch.float32)
    assert type(fitting(model.requires_grad_(False))) is DenseForward
