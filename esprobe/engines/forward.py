"""The interface of a forward pass that remembers what it has read, and its implementation by transformers.

Knows models and tensors, not what a token means or how the next one is chosen.
"""

import inspect
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.generation.utils import ALL_CACHE_NAMES


class Forward(Protocol):
    """A model in the middle of a batch of B rows."""

    pads: bool  # whether prompts of different lengths may share a batch
    shrinks: bool  # whether rows may leave a batch

    def start(self, prompts: list[list[int]], remember: bool = False) -> Tensor:
        """Reads the prompts; logits (B, vocabulary) of the token that follows each.

        With `remember`, the same prompts may cost nothing the next time, until `forget`.
        """
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """Reads one more token per row (B,); logits as above."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Goes on with these rows (indices) alone; only where it `shrinks`."""
        ...

    def forget(self) -> None:
        """Forgets what was read, because the weights have changed or memory is short."""
        ...

    def twins(self, count: int) -> list["Forward"]:
        """Forward passes of the same model, this one first, that may read at once: `count` if the model allows it, else one."""
        ...


class TransformersForward:
    """Whatever transformers can run, as its `generate` runs it: the model prepares its inputs and names its memory itself.

    Prompts are padded on the left.
    """

    def __init__(self, model: Any, *, pads: bool = True, shrinks: bool = True, counts: bool = False) -> None:
        """`pads` and `shrinks` say what `model` was found to do right, `counts` that it numbers its positions itself."""
        self.model, self.pads, self.shrinks, self.counts = model, pads, shrinks, counts
        self.accepted = set(inspect.signature(model.forward).parameters)
        self.state: dict[str, Any] = {}  # what the model is given next to its tokens, its memory included

    def start(self, prompts: list[list[int]], remember: bool = False) -> Tensor:
        """See Forward; nothing is remembered."""
        ids, mask = padded(prompts)
        self.forget()
        self.ids = ids.to(self.model.device)  # (B, all tokens so far)
        mask = mask.long().to(self.model.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)  # (B, longest)
        offered: dict[str, Any] = {"attention_mask": mask, "logits_to_keep": 1}
        if not self.counts:
            offered["position_ids"] = positions
        self.state = {name: value for name, value in offered.items() if name in self.accepted}
        if self.model._supports_default_dynamic_cache():
            memory = "cache_params" if "cache_params" in self.accepted else "past_key_values"
            self.state[memory] = DynamicCache(config=self.model.config.get_text_config(decoder=True))
        return self._read(is_first_iteration=True)

    def step(self, tokens: Tensor) -> Tensor:
        """See Forward."""
        self.ids = torch.cat([self.ids, tokens.unsqueeze(1)], dim=1)
        return self._read(next_sequence_length=1)

    def keep(self, rows: Tensor) -> None:
        """See Forward."""
        self.ids = self.ids[rows]
        for name, value in self.state.items():
            if name in ALL_CACHE_NAMES:
                value.reorder_cache(rows)
            elif isinstance(value, Tensor):
                self.state[name] = value[rows]

    def forget(self) -> None:
        """See Forward."""
        self.state = {}

    def twins(self, count: int) -> list[Forward]:
        """See Forward; one, since a model's own code may keep what it reads in the model."""
        return [self]

    def _read(self, **which: Any) -> Tensor:
        inputs = self.model.prepare_inputs_for_generation(self.ids, **which, **self.state, use_cache=True)
        output = self.model(**inputs, return_dict=True)
        self.state = self.model._update_model_kwargs_for_generation(output, self.state)
        logits: Tensor = output.logits[:, -1]
        return logits.float()


def padded(prompts: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Token ids (B, longest) padded on the left with 0, and where they are no padding."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    lengths = torch.tensor([len(prompt) for prompt in prompts]).unsqueeze(1)
    return ids, torch.arange(longest) >= longest - lengths
