"""How a problem becomes the token ids that a model reads, and what identifies the way it does.

Knows a task's messages, a tokenizer and its chat template; no weights, no arm, no database.
"""

import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from esprobe.errors import UserError
from esprobe.tasks.base import Payload, Task

PromptFormat = Literal["chat", "plain"]
MAX_PROMPT = 1_000_000  # characters, beyond what any model reads
# The date that a template gets on every day: the fallback of Llama 3's own templates.
TODAY = datetime(2024, 7, 26)
LONGEST_OPENING = 200  # characters that a template writes of the reasoning it opens
BEFORE_USER = "before the user's text"

Messages = list[dict[str, Any]]


class Prompter:
    """Renders problems for one tokenizer. Equal `identity` means equal prompts, on any day."""

    def __init__(self, task: Task, style: PromptFormat, tokenizer: Any) -> None:
        """`chat` goes through the tokenizer's chat template, `plain` joins the messages. Raises UserError without a template."""
        self.task, self.style, self.tokenizer = task, style, tokenizer
        self.template = "" if style == "plain" else _template(tokenizer)
        self.dated = False  # the template has asked for the date
        self.shape: Mapping[str, str] | None = None  # how the template takes messages; found with the first problem
        self.reopened = False  # the template opens the reasoning itself, and the task's prefill is in place of that

    def identity(self) -> dict[str, Any]:
        """What the prompts depend on apart from the problem and the model's files, as settings of an arm; render first."""
        found: dict[str, Any] = {
            "prompt": self.style,
            "prompt_digest": self.task.prompt_digest(),
            "template": hashlib.sha256(self.template.encode()).hexdigest()[:16] if self.template else "",
        }
        if self.dated:
            found["today"] = TODAY.date().isoformat()
        if self.reopened:
            found["prefill"] = "in place of the template's"
        return found | dict(self.shape or {})

    def text(self, payload: Payload) -> str:
        """The prompt as text, the task's prefill included. Raises UserError."""
        messages = self.task.messages(payload)
        if self.style == "plain":
            return "".join(m["content"] for m in messages) + self.task.prefill
        return self._with_prefill(self._chat(messages), messages[-1]["content"])

    def ids(self, payloads: Sequence[Payload]) -> list[list[int]]:
        """The prompts as token ids. A template's text is complete; plain text begins as the tokenizer begins a text."""
        texts = [self.text(payload) for payload in payloads]
        bare: list[list[int]] = self.tokenizer(texts, add_special_tokens=False).input_ids
        if self.style == "chat":
            return bare
        whole = self.tokenizer(texts, add_special_tokens=True).input_ids
        return [_without_end(ids, inner) for ids, inner in zip(whole, bare, strict=True)]

    def _chat(self, messages: Messages) -> str:
        """The rendered messages, in the first shape of which the template keeps every word."""
        if self.shape is None:
            self.shape = self._fitting(messages)
            if self._render(_shaped(messages, self.shape)) != self._render(_shaped(messages, self.shape)):
                raise UserError("this model's chat template makes another prompt each time; use --prompt plain")
        text = self._render(_shaped(messages, self.shape))
        if not _holds(text, messages):
            raise UserError("this model's chat template drops a part of the problem; use --prompt plain")
        return text

    def _fitting(self, messages: Messages) -> Mapping[str, str]:
        failures: list[UserError] = []
        for shape in _shapes(messages):
            try:
                if _holds(self._render(_shaped(messages, shape)), messages):
                    return shape
                failures.insert(0, UserError("this model's chat template drops a part of the problem; use --prompt plain"))
            except UserError as error:
                failures.append(error)
        raise failures[0]

    def _render(self, messages: Messages) -> str:
        before = random.getstate()  # the source of jinja's random numbers
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False, strftime_now=self._strftime
            )
        except Exception as error:  # the template is a program that came with the model, run in jinja's sandbox
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"this model's chat template fails ({reason}); use --prompt plain") from error
        if random.getstate() != before:
            raise UserError("this model's chat template is random, so prompts could not be repeated; use --prompt plain")
        if len(text) > MAX_PROMPT:
            raise UserError(f"this model's chat template makes a prompt of {len(text):,} characters; use --prompt plain")
        return text

    def _strftime(self, form: str) -> str:
        """In place of the `strftime_now` that templates have, which would make another arm of every day."""
        self.dated = True
        return TODAY.strftime(form)

    def _with_prefill(self, text: str, asked: str) -> str:
        """The prompt with the task's prefill, which replaces the template's text for the same tag, open or closed."""
        prefill = self.task.prefill
        tag = re.search(r"<(\w+)>\s*$", prefill)
        if tag:
            name, asked = tag[1], asked.strip()
            begin = max(text.rfind(asked) + len(asked) if asked in text else 0, len(text) - LONGEST_OPENING)
            opened = re.compile(rf"(<{name}>[^<]*)?</{name}>\s*$|<{name}>[^<]*$").search(text, begin)
            if opened:
                self.reopened = True
                return text[: opened.start()] + prefill
        return text + prefill


def prompt_text(task: Task, payload: Payload, style: PromptFormat, tokenizer: Any) -> str:
    """One prompt as text; see Prompter."""
    return Prompter(task, style, tokenizer).text(payload)


def prompt_digest(ids: Sequence[int]) -> str:
    """Identifies a rendered prompt: SHA-256 of its token ids in decimal, separated by spaces; 32 hex digits."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()[:32]


def _template(tokenizer: Any) -> str:
    """The text of the chat template, of several the one that is used without tools."""
    found = tokenizer.chat_template
    if not found:
        raise UserError("this model's tokenizer has no chat template; use --prompt plain")
    if isinstance(found, str):
        return found
    if "default" not in found:
        names = ", ".join(sorted(found))
        raise UserError(f"this model's tokenizer has chat templates ({names}) and none is the default; use --prompt plain")
    return str(found["default"])


def _shapes(messages: Messages) -> Iterator[Mapping[str, str]]:
    """The ways to give messages to a template, the usual one first; each as what an arm's settings say of it."""
    merged = [{}, {"system": BEFORE_USER}] if [m["role"] for m in messages[:2]] == ["system", "user"] else [{}]
    for content in ({}, {"content": "parts"}):  # templates of multimodal models expect each text as a part
        for system in merged:
            yield system | content


def _shaped(messages: Messages, shape: Mapping[str, str]) -> Messages:
    if "system" in shape:  # templates without a system role refuse it or drop it
        first, second, *rest = messages
        messages = [{**second, "content": f"{first['content']}\n\n{second['content']}"}, *rest]
    if "content" in shape:
        messages = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]
    return messages


def _holds(text: str, messages: Messages) -> bool:
    """Whether every message is in the text, however its white space was trimmed."""
    words = " ".join(text.split())
    return all(" ".join(m["content"].split()) in words for m in messages)


def _without_end(ids: list[int], inner: list[int]) -> list[int]:
    """What the tokenizer puts before a text, and the text; what it puts after, an end token mostly, would end the prompt."""
    for start in range(len(ids) - len(inner) + 1):
        if ids[start : start + len(inner)] == inner:
            return ids[: start + len(inner)]
    return inner
