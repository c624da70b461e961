"""Our forward pass for small models on a CPU: Qwen2 and Llama in float32.

Knows weights and tensors, not what a token means or how the next one is chosen. Whether it agrees with transformers on a given
model is for `probe` to find out.
"""

from collections.abc import Callable
from copy import copy
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from esprobe.engines.forward import Forward, padded

BLOCK = 16  # positions that the cache grows by: attention reads contiguous memory twice as fast as slices of a larger buffer
TOKENS = 512  # of prompts, read at once: what lies between two layers stays in a core's cache, and products lose nothing
SCORES = 1 << 20  # of attention, at most, that are worth their memory
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
        self.cos = self.sin = torch.empty(0)  # (positions so far, size): cos, cos and −sin, sin
        self.keys: list[Tensor] = []  # a layer: (B, groups, room, size), of which `filled` positions are
        self.values: list[Tensor] = []
        self.filled = 0
        self.hidden = self.positions = torch.empty(0)  # (B, room): −inf where there is padding, else 0; (B, 1): the last place
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

    def twins(self, count: int) -> list[Forward]:
        """See Forward; they share the weights, which none of them writes to."""
        others = [copy(self) for _ in range(count - 1)]
        for other in others:
            other.forget()
        return [self, *others]

    def start(self, prompts: list[list[int]], remember: bool = False) -> Tensor:
        """See Forward."""
        if self.remembered is None or self.remembered[0] != prompts:
            self.forget()
            logits = self._start(prompts)
            if not remember:
                return logits
            self.remembered = (prompts, logits, self.keys, self.values, self.hidden, self.positions)
        # nothing of it is ever written to: the cache grows, and so is copied, before the first step
        _, logits, self.keys, self.values, self.hidden, self.positions = self.remembered
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
            self._read(torch.tensor([first[:shared]]), torch.arange(shared).unsqueeze(0), _hiding(causal)[None, None])
            self.filled = shared
        self._change(lambda c: c.expand(rows, -1, -1, -1))
        self._grow(rest)
        seen = torch.cat([mask.new_ones((rows, shared)), mask], dim=1)  # (B, shared + rest): what is no padding
        self.hidden = _hiding(seen)
        positions = (seen.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        self.positions = positions[:, -1:]
        causal = torch.ones(rest, shared + rest, dtype=torch.bool).tril(shared)
        # padding sees itself, since a softmax over nothing is not a number
        visible = (seen[:, None, None] & causal) | torch.eye(shared + rest, dtype=torch.bool)[shared:]
        some = max(1, TOKENS // rest)
        parts = [slice(start, start + some) for start in range(0, rows, some)]
        logits = [self._read(ids[part], positions[part], _hiding(visible[part]), part) for part in parts]
        self.filled += rest
        return torch.cat(logits)

    def step(self, tokens: Tensor) -> Tensor:
        """See Forward."""
        if self.filled == self.keys[0].shape[2]:
            self._grow(BLOCK)
            self.hidden = functional.pad(self.hidden, (0, BLOCK), value=-inf)
        self.hidden[:, self.filled] = 0
        self.positions = self.positions + 1
        logits = self._read(tokens.unsqueeze(1), self.positions, self.hidden[:, None, None].repeat(1, self.groups, 1, 1))
        self.filled += 1
        return logits

    def keep(self, rows: Tensor) -> None:
        """See Forward."""
        self._change(lambda c: c.index_select(0, rows))
        self.hidden, self.positions = self.hidden[rows], self.positions[rows]

    def _grow(self, by: int) -> None:
        def grown(cache: Tensor) -> Tensor:
            rows, groups, room, size = cache.shape
            larger = torch.empty(rows, groups, room + by, size)
            larger[:, :, :room] = cache
            larger[:, :, room:] = 0  # what nobody sees is multiplied by 0 all the same
            return larger

        self._change(grown)

    def _change(self, change: Callable[[Tensor], Tensor]) -> None:
        """One layer after the other, so that two copies of the whole never exist at once; lists that are remembered stay."""
        self.keys, self.values = list(self.keys), list(self.values)
        for cache in (self.keys, self.values):
            for i, kept in enumerate(cache):
                cache[i] = change(kept)

    def _read(self, ids: Tensor, positions: Tensor, hidden: Tensor, part: slice = slice(None)) -> Tensor:
        """Logits (B, vocabulary) after `ids` (B, L) at `positions` (B, L).

        `hidden` (B, 1 or groups, L, room) is −inf at what a token does not see, else 0. `part`: which rows of the cache they are.
        """
        rows, length = ids.shape
        together, size, width = self.heads // self.groups, self.size, self.norm.shape
        end = self.filled + length
        self._reach(end)
        cos, sin = self.cos[positions].unsqueeze(2), self.sin[positions].unsqueeze(2)  # (B, L, 1, size)
        x = functional.embedding(ids, self.embedding)  # (B, L, hidden)
        added = hidden.repeat(1, 1, together, 1)  # to the scores
        for i, (norm, qkv, bias, out, norm2, gate_up, down) in enumerate(self.layers):
            keys, values = self.keys[i][part], self.values[i][part]
            made = functional.linear(functional.rms_norm(x, width, norm, self.epsilon), qkv, bias).view(rows, length, -1, size)
            turned = _turned(made[:, :, : self.heads + self.groups], cos, sin)  # queries and keys
            keys[:, :, self.filled : end] = turned[:, :, self.heads :].transpose(1, 2)
            values[:, :, self.filled : end] = made[:, :, self.heads + self.groups :].transpose(1, 2)
            if length > 1 and i == len(self.layers) - 1:  # nothing comes of what it makes of other tokens than the last
                x, turned, length = x[:, -1:], turned[:, -1:], 1
                added = hidden[:, :, -1:].repeat(1, 1, together, 1)
            # heads that share keys and values are further queries of one head: (B, groups, together · L, size)
            queries = turned[:, :, : self.heads].transpose(1, 2).reshape(rows, self.groups, together * length, size)
            found = _attend(queries, keys, values, added)
            found = found.reshape(rows, self.heads, length, size).transpose(1, 2).reshape(rows, length, -1)
            x = x + functional.linear(found, out)
            gate, up = functional.linear(functional.rms_norm(x, width, norm2, self.epsilon), gate_up).chunk(2, -1)
            x += functional.linear(functional.silu(gate).mul_(up), down)
        return functional.linear(functional.rms_norm(x[:, -1], width, self.norm, self.epsilon), self.head)

    def _reach(self, positions: int) -> None:
        """Tables for this many positions, made on demand, since a config may claim a context of any length."""
        if positions > len(self.cos):
            angles = torch.outer(torch.arange(max(positions, 2 * len(self.cos))).float(), self.frequencies)
            cos, sin = angles.cos(), angles.sin()
            self.cos, self.sin = torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)


def _hiding(visible: Tensor) -> Tensor:
    """What is added to the scores of attention: 0 where something is visible, −inf elsewhere."""
    return torch.zeros(visible.shape).masked_fill_(~visible, -inf)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of `x` (B, L, heads, size); `sin` has the sign of each half."""
    half = x.shape[-1] // 2
    return torch.cat((x[..., half:], x[..., :half]), -1).mul_(sin).addcmul_(x, cos)


def _attend(queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor) -> Tensor:
    """Attention of queries (B, groups, Q, size) over keys and values (B, groups, room, size).

    For one token per row, two batched products take half the time of torch's attention; for prompts they would take much memory.
    """
    rows, groups, count, size = queries.shape
    if rows * groups * count * keys.shape[2] > SCORES:
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
