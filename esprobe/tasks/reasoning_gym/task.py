"""A data set of reasoning-gym as a task: have its problems made, ask them, have answers scored.

The only module that knows what an entry looks like and the words of the prompt. The library itself runs in another process.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from esprobe.errors import UserError
from esprobe.tasks.base import TIMEOUT, Facts, Payload, Problem, Score, Scorer, is_utf8, lacking, object_of, short, text_of
from esprobe.tasks.countdown.scorers import countdown
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.killable import FailedError, Killable, StoppedError
from esprobe.tasks.wrapped import CLOSE, OPEN, last_answer

COUNT = 128  # problems without --limit
TRAINING_COUNT = 2000  # likewise, of those to train on
APART = 1_000_000  # between the seeds of the two: the library makes problem i of a seed from seed + i
SEED = 0  # of the problems without --task-option seed=…
MAKING_S = 300.0  # CPU time
MAX_ANSWER = 20_000  # characters; boards may be large
MAX_BALLOT = 1000
EXAMPLE = '{"question": "…", "answer": "…", "metadata": {…}}'


@dataclass(frozen=True)
class Style:
    """A way to ask: what is said first, worked examples as (problem, response), and the start of the response."""

    system: str
    examples: tuple[tuple[str, str], ...] = ()
    prefill: str = ""


STYLES = {
    "think": Style(
        "Solve the problem step by step. Then give the final answer between <answer> and </answer>: the answer alone, without "
        "any explanation, and in the form that the problem asks for."
    ),
    "direct": Style(  # small models close the tags only where they have seen it done
        "Answer the problem with the final answer alone, between <answer> and </answer>.",
        (
            ("What is 2 + 3?", f"{OPEN}5{CLOSE}"),
            ("Which of these animals can fly: dog, eagle, horse?", f"{OPEN}eagle{CLOSE}"),
        ),
        OPEN,
    ),
}

_NAN = re.compile("nan", re.IGNORECASE)

LIBRARY = Killable("esprobe.tasks.reasoning_gym.library", "reasoning_gym", "reasoning-gym")


class ReasoningGym:
    """Problems that the library makes by the thousand, with a score from 0 to 1 for each answer.

    Payload: an entry's `question`, `answer` (None where there are many) and `metadata`, frozen, and the `options` that the data
    set was made with, on which some scores depend.
    """

    def __init__(self, data_set: str, options: Mapping[str, str]) -> None:
        """`options`: those of the data set, `seed` of the problems, and `style`, think or direct. Raises UserError."""
        LIBRARY.check()
        if not re.fullmatch(r"\w+", data_set):
            raise UserError(f"{data_set!r} is no name of a data set, such as letter_counting: letters, digits and _ alone")
        self.data_set = data_set
        self.name = f"reasoning-gym/{data_set}"
        self.default_scorer = self.name
        self.scorers: Mapping[str, Scorer] = {self.name: _countdown if data_set == "countdown" else partial(_scored, data_set)}
        own = dict(options)
        style = own.pop("style", "think")
        if style not in STYLES:
            raise UserError(f"--task-option style must be {' or '.join(STYLES)}, not {style!r}")
        self.style = STYLES[style]
        self.prefill = self.style.prefill
        if "size" in own:
            raise UserError("--limit says how many problems there are, so leave out --task-option size")
        self.seed = _seed(own.pop("seed", str(SEED)))
        self.options = {key: _value(text) for key, text in own.items()}

    def problem(self, record: Any) -> Problem:
        """Reads an entry: `question`, `answer`, `metadata` and perhaps `options`; other keys are ignored.

        Raises UserError too where the library cannot score answers to the data set, which would all be wrong, or all right.
        """
        found = self._entry(record)
        if why := _refusal(self.data_set, json.dumps(found.payload["options"], sort_keys=True)):
            raise UserError(f"{self.name}: {why}")
        return found

    def _entry(self, record: Any) -> Problem:
        record = object_of(record, EXAMPLE)
        question = text_of(record, "question")
        if line := lacking(record, "answer") or lacking(record, "metadata"):
            raise UserError(line)
        answer, metadata, options = record["answer"], record["metadata"], record.get("options", {})
        if not (answer is None or isinstance(answer, str)):
            raise UserError(f'"answer" must be a text or null, not {short(answer)}')
        if not isinstance(metadata, Mapping) or not isinstance(options, Mapping):
            raise UserError('"metadata" and "options" must be objects')
        payload = {"question": question, "answer": answer, "metadata": metadata, "options": options}
        try:
            plain = is_utf8(json.dumps(payload, ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            plain = False
        if not plain:
            raise UserError("the entry holds something that JSON cannot keep, such as NaN or half a surrogate pair")
        if self.data_set == "countdown":
            _as_countdown(payload)
        return Problem(self.name, payload)

    def own(self, count: int | None) -> list[Problem]:
        """The data set's first problems, 128 without a count: a function of its options and the problems' seed."""
        return self._made(self.seed, count or COUNT)

    def training(self, count: int | None) -> list[Problem]:
        """Problems of another seed, 2,000 without a count, fewer where the data set repeats itself: none that `own` gives."""
        known = {problem.digest for problem in self.own(None)}
        found = {p.digest: p for p in self._made(self.seed + APART, count or TRAINING_COUNT) if p.digest not in known}
        return list(found.values())

    def _made(self, seed: int, count: int) -> list[Problem]:
        made = _asked("make", self.data_set, self.options, seed, count)
        if "refused" in made:
            raise UserError(f"{self.name}: {made['refused']}")
        return [self._entry(entry | {"options": self.options}) for entry in made["entries"]]

    def messages(self, payload: Payload) -> list[dict[str, str]]:
        """Where to put the answer, the examples, and the question."""
        shown = [
            {"role": role, "content": text}
            for example in self.style.examples
            for role, text in zip(("user", "assistant"), example, strict=True)
        ]
        asked = {"role": "user", "content": payload["question"]}
        return [{"role": "system", "content": self.style.system}, *shown, asked]

    def prompt_digest(self) -> str:
        """SHA-256 over the texts above, 16 hex digits."""
        texts = [self.style.system, *(text for example in self.style.examples for text in example), self.prefill]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]

    def facts(self, problem: Problem) -> Facts:
        """Of Countdown problems what our own solver proves; nothing of any other. Problems of equal options are a stratum."""
        if self.data_set == "countdown":
            return Countdown().facts(_as_countdown(problem.payload))
        options = problem.payload["options"]
        return Facts(None, None, None, ", ".join(f"{key}={options[key]}" for key in sorted(options)) or None)

    def source(self) -> str:
        """The library makes them."""
        return f"without --data the library makes the problems; a file is JSON Lines of {EXAMPLE}"


def _asked(function: str, data_set: str, *arguments: Any) -> Any:
    """What the library's side says of problems. Raises UserError where it cannot make any."""
    try:
        return LIBRARY.call(function, data_set, *arguments, limit_s=MAKING_S)
    except StoppedError:
        raise UserError(f"reasoning-gym/{data_set}: making problems takes too long; lower --limit, or its options") from None
    except FailedError as error:
        raise UserError(f"reasoning-gym/{data_set}: the library cannot make problems ({error}); see its options") from None


@lru_cache(maxsize=1000)
def _refusal(data_set: str, options: str) -> str | None:
    """Why answers to problems with these options (a JSON object) cannot be scored; None where they can."""
    found: str | None = _asked("refusal", data_set, json.loads(options))
    return found


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise UserError(f"--task-option seed must be a whole number from 0 on, not {text!r}")
    return int(text)


def _value(text: str) -> Any:
    """An option's value: JSON where it is, and a text where it is not."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _as_countdown(payload: Payload) -> Problem:
    """The same numbers and target as a problem of our own Countdown. Raises UserError."""
    metadata = payload["metadata"]
    return Countdown().problem({key: metadata[key] for key in ("numbers", "target") if key in metadata})


def _countdown(payload: Payload, text: str) -> Score:
    """By our own rule: the library gives answers to a parser that runs them."""
    return countdown(_as_countdown(payload).payload, text)


def _scored(data_set: str, payload: Payload, text: str) -> Score:
    """Correct if and only if the library's score of the last answer is 1; the score is the reward, the answer the ballot."""
    answer = _answer(text)
    if not answer:
        return Score(False, "no_answer", None, None, 0.0)
    if len(answer) > MAX_ANSWER:
        return Score(False, "too_long", answer[:MAX_BALLOT], None, 0.0)
    canonical = json.dumps(payload, sort_keys=True, ensure_ascii=False)
    reason, reward = _judged(data_set, canonical, answer)
    ballot = answer if len(answer) <= MAX_BALLOT else None
    return Score(reason == "correct", reason, answer[:MAX_BALLOT], ballot, reward)


def _answer(text: str) -> str:
    """What is in the last answer tags, stripped; of a text that only closes them what is before, for the prompt opened them."""
    found = last_answer(text)
    if found is not None:
        return found.content.strip()
    before, closed, _ = text.partition(CLOSE)
    return before.strip() if closed else ""


@lru_cache(maxsize=50_000)
def _judged(data_set: str, canonical: str, answer: str) -> tuple[str, float]:
    """(reason, reward); many draws give the same answer."""
    payload = json.loads(canonical)
    if _NAN.search(answer) and not _NAN.search(str(payload["answer"])):
        return (
            "wrong",
            0.0,
        )  # no comparison with NaN is true, which makes it right where the library asks whether it is too far off
    entry = {key: payload[key] for key in ("question", "answer", "metadata")}
    try:
        score = LIBRARY.call("score", data_set, json.dumps(payload["options"]), entry, answer)
    except StoppedError:
        return TIMEOUT, 0.0
    except FailedError:
        return "scorer_failed", 0.0
    if not math.isfinite(score):
        return "scorer_failed", 0.0
    reward = min(1.0, max(0.0, score))
    return "correct" if reward == 1 else "wrong", reward
