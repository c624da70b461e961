"""What a task is: problems, what is known of them, how they are asked, and what a verdict on an answer is.

Nothing outside a task's own module knows what its payloads contain. Knows no model, backend or database.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from esprobe.errors import UserError

TIMEOUT = "timeout"  # the reason of a verdict that took too long: false, and on another machine perhaps another


class Score(NamedTuple):
    """A scorer's verdict: `reason` is from the scorer's own small fixed set, `answer` what it extracted.

    `ballot` is the canonical answer under which two rollouts vote alike, so all that share one are correct or none is; None does
    not vote. `expression` is a second, stricter ballot, where an answer has more than its value: how it was reached, in a normal
    form. All that share it share the ballot; None where there is no ballot, or the task has no such form.
    `reward` (0 to 1) is what training maximises; it never changes `correct`.
    """

    correct: bool
    reason: str
    answer: str | None
    ballot: str | None
    reward: float
    expression: str | None = None


Scorer = Callable[[Mapping[str, Any], str], Score]  # (problem payload, generated text) → verdict


Payload = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """One instance of a task. `payload` is plain JSON; `given_solution` is what the data file claims, unproven."""

    task: str
    payload: Payload
    given_solution: str | None = None

    @property
    def canonical(self) -> str:
        """The payload as canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def digest(self) -> str:
        """Identifies the problem by its content: SHA-256 of task and payload, 32 hex digits."""
        return hashlib.sha256(f"{self.task}\n{self.canonical}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Facts:
    """What is known of a problem before any model sees it; None where it is not known.

    `solvable` with a `solution` is proven by it, False is proven by enumeration. `chance` is the probability that a
    uniformly random valid answer is correct, `outcomes` how many distinct values valid answers have. `stratum` names the
    problems that are alike in size.
    """

    solvable: bool | None
    solution: str | None
    chance: float | None
    stratum: str | None = None
    outcomes: int | None = None


class Task(Protocol):
    """One kind of problem: how to load it, ask it, score an answer and know the probability of guessing."""

    name: str
    prefill: str  # the start of the response, which the prompt ends with
    default_scorer: str  # has the task's name: the facts of problems are proven under its rule alone
    scorers: Mapping[str, Scorer]

    def problem(self, record: Any) -> Problem:
        """Reads one problem from a JSON record in the user's words. Raises UserError."""
        ...

    def own(self, count: int | None) -> list[Problem]:
        """The first `count` problems that need no file, shipped with the package or made here; all without a count.

        Raises UserError where there are none.
        """
        ...

    def training(self, count: int | None) -> list[Problem]:
        """The first `count` problems to train on that need no file; all without a count. None of them are among its own.

        Raises UserError where there are none.
        """
        ...

    def messages(self, payload: Payload) -> list[dict[str, str]]:
        """The chat messages (role, content) that pose the problem."""
        ...

    def prompt_digest(self) -> str:
        """Identifies the prompt's wording: another wording is another arm."""
        ...

    def facts(self, problem: Problem) -> Facts:
        """Proves what can be proven about the problem; may take a while for large ones."""
        ...

    def source(self) -> str:
        """One line for error messages: where to get the published problems."""
        ...


def object_of(record: Any, example: str) -> Mapping[str, Any]:
    """The record, which must be a JSON object. Raises UserError with an example."""
    if not isinstance(record, Mapping):
        raise UserError(f"a problem must be an object such as {example}")
    return record


def text_of(record: Mapping[str, Any], *names: str) -> str:
    """The text under the first of these keys that the record has. Raises UserError where there is none."""
    if line := lacking(record, *names):
        raise UserError(line)
    name = next(name for name in names if name in record)
    text = record[name]
    if not isinstance(text, str) or not text.strip():
        raise UserError(f'"{name}" must be a text that is not empty, not {short(text)}')
    if not is_utf8(text):
        raise UserError(f'"{name}" holds half a surrogate pair, which is not text')
    return text


def plain(value: Any) -> Any:
    """A number as JSON writes it, and any other value as it is; a number with more digits than Python writes out, too."""
    try:
        return str(value) if type(value) in (int, float) else value
    except ValueError:
        return value


def is_utf8(text: str) -> bool:
    """Whether it can be written as UTF-8, which half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def short(value: Any) -> str:
    """What an error message shows of a value, 40 characters at most."""
    try:
        return repr(value)[:40]
    except (ValueError, RecursionError):  # more digits or a deeper nesting than Python writes out
        return type(value).__name__


def lacking(record: Mapping[str, Any], *names: str) -> str | None:
    """What to say of a record that has none of these keys, with the keys that it has; None where it has one."""
    if any(name in record for name in names):
        return None
    there = ", ".join(str(key)[:40] for key in list(record)[:20]) + (", …" if len(record) > 20 else "")
    wanted = " or ".join(f'"{name}"' for name in names)
    return f"there is no {wanted}; the record has {there or 'no keys at all'}"
