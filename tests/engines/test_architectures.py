"""Token by token, every architecture gives the probabilities that it gives when it reads at once, or it is refused."""

from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as t
from torch import Tensor
from transformers import AutoModelForCausalLM

from esprobe.engines.backend import Decoding
from esprobe.engines.choice import choose
from esprobe.engines.forward import TransformersForward
from esprobe.engines.models import find_model
from esprobe.engines.probe import UnreadableModelError, fitting
from esprobe.engines.transformers_backend import TransformersBackend
from esprobe.errors import UserError

VOCABULARY = 275
TINY: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
GROUPED = TINY | {"num_key_value_heads": 1}
HEADS = GROUPED | {"head_dim": 16}
STATE: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
SCAN: dict[str, Any] = {"mamba_d_state": 8, "mamba_n_heads": 4, "mamba_chunk_size": 16}
GPT: dict[str, Any] = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128}

CONFIGS: dict[str, Callable[[], Any]] = {
    "learned positions": lambda: t.GPT2Config(**GPT),
    "positions from the mask": lambda: t.OPTConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, ffn_dim=64, word_embed_proj_dim=32
    ),
    "positions counted from the padding": lambda: t.RobertaConfig(**TINY, is_decoder=True),
    "ALiBi": lambda: t.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=2),
    "ALiBi, MPT": lambda: t.MptConfig(vocab_size=VOCABULARY, d_model=32, n_layers=2, n_heads=2, max_seq_len=128),
    "half-rotary": lambda: t.GPTJConfig(**GPT, rotary_dim=8),
    "sliding window": lambda: t.MistralConfig(**GROUPED, sliding_window=20),
    "sliding window in some layers": lambda: t.Qwen2Config(
        **GROUPED, use_sliding_window=True, sliding_window=24, max_window_layers=1
    ),
    "local and global": lambda: t.Gemma2Config(**HEADS, sliding_window=16),
    "local and global, Gemma 3": lambda: t.Gemma3TextConfig(**HEADS, sliding_window=16),
    "local and global, GPT-Neo": lambda: t.GPTNeoConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        num_heads=2,
        window_size=16,
    ),
    "attention sinks and experts": lambda: t.GptOssConfig(**HEADS, num_local_experts=4, num_experts_per_tok=2, sliding_window=16),
    "experts": lambda: t.MixtralConfig(**GROUPED, num_local_experts=4),
    "latent attention": lambda: t.DeepseekV3Config(
        **TINY,
        num_key_value_heads=2,
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=16,
        n_routed_experts=4,
        n_group=1,
        topk_group=1,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        first_k_dense_replace=1,
    ),
    "Mamba": lambda: t.MambaConfig(**STATE),
    "Mamba 2": lambda: t.Mamba2Config(**STATE, num_heads=4, head_dim=16, n_groups=1, chunk_size=16),
    "Falcon Mamba": lambda: t.FalconMambaConfig(**STATE),
    "recurrent and local": lambda: t.RecurrentGemmaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        lru_width=32,
        attention_window_size=24,
    ),
    "convolutions and attention": lambda: t.Lfm2Config(**GROUPED, layer_types=["conv", "full_attention"]),
    "Mamba and attention in one layer": lambda: t.FalconH1Config(**HEADS, **SCAN, mamba_d_ssm=32, mamba_d_head=8),
    "Mamba and attention": lambda: t.BambaConfig(**GROUPED, **SCAN, attn_layer_indices=[1], mamba_d_head=16),
    "lightning attention": lambda: t.MiniMaxConfig(**HEADS, num_local_experts=2, block_size=16),
}


def made(config: Any) -> Any:
    """A model of the config, random but far from indifferent to its context."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.normal_(0, 0.3)
    return model


def greedy(model: Any, prompt: list[int], count: int) -> list[int]:
    """Tokens chosen by reading everything again for each of them."""
    ids = list(prompt)
    for _ in range(count):
        with torch.inference_mode():
            ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("make", CONFIGS.values(), ids=CONFIGS)
def test_rollouts_are_those_of_reading_everything_at_once(make: Callable[[], Any], tmp_path: Path) -> None:
    model = made(make())
    model.save_pretrained(tmp_path)
    backend = TransformersBackend(find_model(str(tmp_path)), "float32", [])
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(4, VOCABULARY, (length,), generator=generator).tolist() for length in (9, 23, 9, 15, 2)]
    # ends that come at different times, so that rows leave
    wanted = [greedy(model, prompt, 40) for prompt in prompts]
    ends = [wanted[0][3], wanted[1][11], wanted[3][20]]
    backend.end_ids = tuple(ends)
    made_tokens = [generation.ids for generation in backend.generate(prompts, Decoding(40))]
    assert made_tokens == [cut(ids, ends) for ids in wanted]


def cut(ids: list[int], ends: list[int]) -> list[int]:
    """The tokens up to the first end."""
    first = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    return ids[: first + 1]


def test_rows_leave_only_where_the_memory_lets_them() -> None:
    assert fitting(made(CONFIGS["convolutions and attention"]())).shrinks
    assert not fitting(made(CONFIGS["lightning attention"]())).shrinks


def test_prompts_are_padded_only_where_the_model_can_be() -> None:
    assert fitting(made(CONFIGS["ALiBi"]())).pads
    assert not fitting(made(CONFIGS["recurrent and local"]())).pads


def test_contexts_are_filled_to_the_last_position_by_prompts_of_any_length(tmp_path: Path) -> None:
    for name in ("learned positions", "local and global, GPT-Neo"):
        model = made(CONFIGS[name]())
        context = model.config.max_position_embeddings
        if context > 128:
            model = made(t.GPTNeoConfig(**model.config.to_diff_dict() | {"max_position_embeddings": 128}))
        model.save_pretrained(tmp_path / name)
        backend = TransformersBackend(find_model(str(tmp_path / name)), "float32", [])
        generator = torch.Generator().manual_seed(1)
        prompts = [torch.randint(4, VOCABULARY, (length,), generator=generator).tolist() for length in (120, 60, 100)]
        found = backend.generate(prompts, Decoding(40))
        assert [len(g.ids) for g in found] == [8, 40, 28]
        assert [g.ids[:8] for g in found] == [greedy(model, prompt, 8) for prompt in prompts]


def test_a_model_that_cannot_be_read_token_by_token_is_refused(tmp_path: Path) -> None:
    config = t.RwkvConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32)
    with pytest.raises(UnreadableModelError, match="other probabilities than in one pass"):
        fitting(made(config))
    made(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="cannot decode it correctly"):
        TransformersBackend(find_model(str(tmp_path)), "float32", [])


def test_a_memory_that_forgets_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(t.MistralConfig(**GROUPED))
    step = TransformersForward.step

    def forgetful(self: TransformersForward, tokens: Tensor) -> Tensor:
        if self.ids.shape[1] % 32 == 31:  # once in two blocks
            self.state["attention_mask"] = self.state["attention_mask"].clone()
            self.state["attention_mask"][:, -1] = 0
        return step(self, tokens)

    assert fitting(model).pads
    monkeypatch.setattr(TransformersForward, "step", forgetful)
    with pytest.raises(UnreadableModelError):
        fitting(model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["sliding window", "experts", "local and global", "convolutions and attention"])
def test_sixteen_bits_are_no_reason_to_refuse(name: str, dtype: torch.dtype) -> None:
    assert fitting(made(CONFIGS[name]()).to(dtype)).pads


def test_a_quantized_model_is_held_to_what_few_bits_can_give(monkeypatch: pytest.MonkeyPatch) -> None:
    model, step = made(t.MistralConfig(**GROUPED)), TransformersForward.step

    def coarse(self: TransformersForward, tokens: Tensor) -> Tensor:
        logits = step(self, tokens)
        return logits + 0.02 * logits.std() * torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))

    monkeypatch.setattr(TransformersForward, "step", coarse)
    with pytest.raises(UnreadableModelError):
        fitting(model)
    model.hf_quantizer = "some"
    assert fitting(model).pads


def test_a_model_whose_output_is_no_number_is_run_all_the_same() -> None:
    model = made(t.MistralConfig(**GROUPED))
    model.model.norm.weight.fill_(nan)
    assert fitting(model).pads


def test_any_temperature_above_zero_chooses_among_the_likeliest_tokens() -> None:
    logits = torch.tensor([[0.5, 3.0, 2.999, -inf], [7.0, 7.0, 1.0, -inf]])
    for temperature in (1e-3, 1e-20, 1e-39, 5e-324):
        for uniform, second in ((0.25, 0), (0.75, 1)):
            if temperature < 1e-3 or uniform < 0.5:
                assert choose(logits, Decoding(1, temperature), torch.tensor([uniform] * 2)).tolist() == [1, second]
