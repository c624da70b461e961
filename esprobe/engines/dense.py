"""Our forward pass for small models on a CPU: Qwen2 and Llama in float32.

Knows weights and tensors, not what a token means or how the next one is chosen. Whether it agrees with transformers on a given
model is for `probe` to find out.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from esprobe.engines.forward import padded

BLOCK = 16  # positions that the cache grows by: attention reads contiguous memory twice as fast as slices of a larger buffer
FAMILIES = ("Qwen2ForCausalLM", "LlamaForCausalLM")


class DenseForward:
    """Qwen2 and Llama in float32 on a CPU, from the live weights of a transformers model: about half the operations per token.

    One product makes queries, keys and values, one the two halves of the gated layer; what all prompts begin with is read once;
    and the base's prompts are remembered, since every draw of a temperature arm begins with the same ones.
    """

    pads = shrinks = True

    def __init__(self, model: Any) -> None:
        """`model`'s weights become views of larger ones; it stays usable, and what is written into it is seen here."""
        config = model.config
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.size = model.model.layers[0].self_attn.head_dim
        self.epsilon = config.rms_norm_eps
        self.layers = []
        for layer in model.model.layers:
            attention, gated = layer.self_attn, layer.mlp
            self.layers.append(
                (
                    layer.input_layernorm.weight,
                    *_fused(attention.q_proj, attention.k_proj, attention.v_proj),
                    attention.o_proj.weight,
                    layer.post_attention_layernorm.weight,
                    _fused(gated.gate_proj, gated.up_proj)[0],
                    gated.down_proj.weight,
                )
            )
        self.embedding, self.norm, self.head = model.model.embed_tokens.weight, model.model.norm.weight, model.lm_head.weight
        self.frequencies = model.model.rotary_emb.inv_freq  # (size / 2,)
        self.cos = self.sin = torch.empty(0)  # (positions so far, size / 2)
        self.keys: list[Tensor] = []  # a layer: (B, groups, room, size), of which `filled` positions are
        self.values: list[Tensor] = []
        self.filled = 0
        self.seen = self.positions = torch.empty(0)  # (B, room): what is no padding; (B, 1): the last token's place
        self.remembered: tuple[list[list[int]], Tensor, list[Tensor], list[Tensor], Tensor, Tensor] | None = None

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether `model` looks like one of those."""
        config = model.config
        return (
            type(model).__name__ in FAMILIES
            and model.device.type == "cpu"
            and all(p.dtype == torch.float32 for p in model.parameters())
            and config.hidden_act == "silu"
            and (config.rope_parameters or {}).get("rope_type") == "default"
            and not getattr(config, "use_sliding_window", False)
            and not getattr(config, "mlp_bias", False)
            and not getattr(config, "attention_bias", False)
        )

    def forget(self) -> None:
        """See Forward."""
        self.remembered, self.keys, self.values = None, [], []

    def start(self, prompts: list[list[int]], remember: bool = False) -> Tensor:
        """See Forward."""
        if self.remembered is None or self.remembered[0] != prompts:
            self.forget()
            logits = self._start(prompts)
            if not remember:
                return logits
            self.remembered = (prompts, logits, self.keys, self.values, self.seen, self.positions)
        # nothing of it is ever written to: the cache grows, and so is copied, before the first step
        _, logits, self.keys, self.values, self.seen, self.positions = self.remembered
        self.filled = self.keys[0].shape[2]
        return logits

    def _start(self, prompts: list[list[int]]) -> Tensor:
        first, shortest = prompts[0], min(map(len, prompts))
        shared = next((i for i in range(shortest - 1) if any(p[i] != first[i] for p in prompts)), shortest - 1)
        ids, mask = padded([prompt[shared:] for prompt in prompts])  # (B, rest)
        rows, rest = ids.shape
        self.keys = self.values = [torch.empty(1, self.groups, 0, self.size)] * len(self.layers)
        self.filled = 0
        if shared:
            self._grow(shared)
            causal = torch.ones(shared, shared, dtype=torch.bool).tril()
            self._read(torch.tensor([first[:shared]]), torch.arange(shared).unsqueeze(0), causal[None, None])
        self._change(lambda c: c.expand(rows, -1, -1, -1))
        self._grow(rest)
        self.seen = torch.cat([mask.new_ones((rows, shared)), mask], dim=1)  # (B, shared + rest): what is no padding
        positions = (self.seen.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        self.positions = positions[:, -1:]
        causal = torch.ones(rest, shared + rest, dtype=torch.bool).tril(shared)
        # padding sees itself, since a softmax over nothing is not a number
        visible = (self.seen[:, None, None] & causal) | torch.eye(shared + rest, dtype=torch.bool)[shared:]
        return self._read(ids, positions, visible)

    def step(self, tokens: Tensor) -> Tensor:
        """See Forward."""
        if self.filled == self.keys[0].shape[2]:
            self._grow(BLOCK)
            self.seen = functional.pad(self.seen, (0, BLOCK))
        self.seen[:, self.filled] = True
        self.positions = self.positions + 1
        return self._read(tokens.unsqueeze(1), self.positions, self.seen[:, None, None])

    def keep(self, rows: Tensor) -> None:
        """See Forward."""
        self._change(lambda c: c.index_select(0, rows))
        self.seen, self.positions = self.seen[rows], self.positions[rows]

    def _grow(self, by: int) -> None:
        self._change(lambda c: functional.pad(c, (0, 0, 0, by)))

    def _change(self, change: Callable[[Tensor], Tensor]) -> None:
        """One layer after the other, so that two copies of the whole never exist at once; lists that are remembered stay."""
        self.keys, self.values = list(self.keys), list(self.values)
        for cache in (self.keys, self.values):
            for i, kept in enumerate(cache):
                cache[i] = change(kept)

    def _read(self, ids: Tensor, positions: Tensor, visible: Tensor) -> Tensor:
        """Logits (B, vocabulary) after `ids` (B, L) at `positions` (B, L), each of which sees `visible` (B, 1, L, room)."""
        rows, length = ids.shape
        together, size = self.heads // self.groups, self.size
        end = self.filled + length
        self._reach(end)
        cos, sin = self.cos[positions].unsqueeze(2), self.sin[positions].unsqueeze(2)  # (B, L, 1, size / 2)
        # (B, 1, together · L, room): what is added to the scores
        hidden = torch.zeros(visible.shape).masked_fill_(~visible, -inf).repeat(1, 1, together, 1)
        x = functional.embedding(ids, self.embedding)  # (B, L, hidden)
        for i, (norm, qkv, bias, out, norm2, gate_up, down) in enumerate(self.layers):
            made = functional.linear(self._normed(x, norm), qkv, bias).view(rows, length, -1, size)
            turned = made[:, :, : self.heads + self.groups]  # queries and keys
            a, b = turned[..., : size // 2], turned[..., size // 2 :]
            turned = torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
            self.keys[i][:, :, self.filled : end] = turned[:, :, self.heads :].transpose(1, 2)
            self.values[i][:, :, self.filled : end] = made[:, :, self.heads + self.groups :].transpose(1, 2)
            # heads that share keys and values are further queries of one head: (B, groups, together · L, size)
            queries = turned[:, :, : self.heads].transpose(1, 2).reshape(rows, self.groups, together * length, size)
            found = _attend(queries, self.keys[i], self.values[i], hidden)
            found = found.reshape(rows, self.heads, length, size).transpose(1, 2).reshape(rows, length, -1)
            x = x + functional.linear(found, out)
            gate, up = functional.linear(self._normed(x, norm2), gate_up).chunk(2, -1)
            x = x + functional.linear(functional.silu(gate) * up, down)
        self.filled = end
        return functional.linear(self._normed(x[:, -1], self.norm), self.head)

    def _reach(self, positions: int) -> None:
        """Tables for this many positions, made on demand, since a config may claim a context of any length."""
        if positions > len(self.cos):
            angles = torch.outer(torch.arange(max(positions, 2 * len(self.cos))).float(), self.frequencies)
            self.cos, self.sin = angles.cos(), angles.sin()

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, weight.shape, weight, self.epsilon)


def _attend(queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor) -> Tensor:
    """Attention of queries (B, groups, Q, size) over keys and values (B, groups, room, size).

    For one token per row, two batched products take half the time of torch's attention; for prompts they would take much memory.
    """
    rows, groups, count, size = queries.shape
    if count > 16:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=hidden)
    hidden = hidden.expand(-1, groups, -1, -1).flatten(0, 1)
    scores = torch.baddbmm(hidden, queries.flatten(0, 1), keys.flatten(0, 1).transpose(1, 2), alpha=size**-0.5)
    return torch.bmm(scores.softmax(-1), values.flatten(0, 1)).view(rows, groups, count, size)


def _fused(*parts: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of linear layers over the same input as those of one; the layers' own become views of them."""
    weight, bias = (
        None if getattr(parts[0], name) is None else _joined([getattr(part, name) for part in parts])
        for name in ("weight", "bias")
    )
    assert weight is not None
    return weight, bias


def _joined(pieces: list[Tensor]) -> Tensor:
    whole, start = torch.cat([piece.data for piece in pieces]), 0
    for piece in pieces:
        piece.data = whole[start : start + len(piece)]
        start += len(piece)
    return whole
