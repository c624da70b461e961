"""The tokens that end a generation: every source that names one counts, since each of them is wrong in some published model.

Knows the configs of a model and its tokenizer's chat template; no weights.
"""

from collections.abc import Mapping
from typing import Any

# What a template may be asked to render as an assistant's turn; a word that no template writes itself.
_ANSWER = "esprobe-answer"


def end_tokens(configs: Mapping[str, Mapping[str, Any]], tokenizer: Any) -> dict[str, list[int]]:
    """The end tokens that each source names, by the source's name; a source that names none is left out.

    `configs` by file name; in one, the part that describes a multimodal model's language counts too. Raises ValueError for what
    is no token id.
    """
    found: dict[str, list[int]] = {}
    for name, config in configs.items():
        parts = [config, config.get("text_config")]
        ids = [i for part in parts if isinstance(part, Mapping) for i in _ids(part.get("eos_token_id"))]
        found[name] = sorted(set(ids))
    if tokenizer is not None:
        found["the tokenizer"] = _ids(tokenizer.eos_token_id)
        found["the chat template"] = end_of_turn(tokenizer)
    return {name: ids for name, ids in found.items() if ids}


def _ids(value: Any) -> list[int]:
    """A config's eos_token_id as a list."""
    if value is None:
        return []
    found = value if isinstance(value, list) else [value]
    if not all(type(i) is int and 0 <= i < 1 << 31 for i in found):
        raise ValueError(f"its eos_token_id is {str(value)[:40]!r}, which is no token id")
    return found


def end_of_turn(tokenizer: Any) -> list[int]:
    """The added token that the chat template writes after an assistant's answer, such as <|im_end|>; none if there is none."""
    if not getattr(tokenizer, "chat_template", None):
        return []
    for form in (str, _as_part):
        messages = [{"role": "user", "content": form("esprobe-question")}, {"role": "assistant", "content": form(_ANSWER)}]
        try:
            text: str = tokenizer.apply_chat_template(messages, tokenize=False)
        except Exception:  # the template is a program that came with the model; one that fails here says nothing about end tokens
            continue
        before, answer, rest = text.rpartition(_ANSWER)
        if answer and not before.endswith(("'", '"')):  # a list that was written out as it is
            ids = tokenizer(rest.lstrip(), add_special_tokens=False).input_ids[:1] if rest.strip() else []
            return [i for i in ids if i in _added(tokenizer)]
    return []


def _as_part(text: str) -> list[dict[str, str]]:
    """A text in the form that templates of multimodal models expect."""
    return [{"type": "text", "text": text}]


def _added(tokenizer: Any) -> set[int]:
    """The ids of tokens added to the vocabulary of text: many fine-tuned models do not mark their end of turn as special."""
    return {*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", {})}


def difference(sources: Mapping[str, list[int]], tokenizer: Any) -> str | None:
    """What to say where the sources name different tokens, else None."""
    if len({tuple(ids) for ids in sources.values()}) < 2:
        return None

    def shown(ids: list[int]) -> str:
        return " ".join(f"{i} {tokenizer.convert_ids_to_tokens(i)}" for i in ids)

    told = ", ".join(f"{name} {shown(ids)}" for name, ids in sources.items())
    return f"end tokens differ ({told}); each of them ends a rollout"
