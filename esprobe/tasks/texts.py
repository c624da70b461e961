"""How generated token ids become the text that is stored and scored. Knows a tokenizer, no task and no database."""

from collections.abc import Collection, Sequence
from typing import Any

TEXT = "all but end tokens"  # what an arm's settings say of this module
CONTEXT = 8  # tokens of the prompt that are decoded with a generation


def texts(
    tokenizer: Any, prompts: Sequence[Sequence[int]], generated: Sequence[Sequence[int]], end_ids: Collection[int]
) -> list[str]:
    """The text of each generation: every token, special ones too, but not the end token at its end.

    Decoded behind the end of its prompt, since tokenizers of the SentencePiece kind drop the space that a text begins with.
    """
    tails = [tuple(prompt[-CONTEXT:]) for prompt in prompts]
    kept = [list(ids[:-1] if ids and ids[-1] in end_ids else ids) for ids in generated]
    distinct = list(dict.fromkeys(tails))
    before = dict(zip(distinct, _decoded(tokenizer, distinct), strict=True))
    whole = _decoded(tokenizer, [[*tail, *ids] for tail, ids in zip(tails, kept, strict=True)])
    return [
        both.removeprefix(before[tail]) if both.startswith(before[tail]) else _decoded(tokenizer, [ids])[0]
        for tail, ids, both in zip(tails, kept, whole, strict=True)
    ]


def _decoded(tokenizer: Any, ids: Sequence[Sequence[int]]) -> list[str]:
    """Every token as it is: tidied spaces would be another text."""
    decoded: list[str] = tokenizer.batch_decode(
        list(map(list, ids)), skip_special_tokens=False, clean_up_tokenization_spaces=False, spaces_between_special_tokens=False
    )
    return decoded
