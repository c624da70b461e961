"""Countdown as a task: read a problem, ask it, know the probability of guessing it.

The only module that knows what a record looks like and the words of the prompt.
"""

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

from esprobe.errors import UserError
from esprobe.tasks.base import Facts, Payload, Problem, Scorer, lacking
from esprobe.tasks.countdown import scorers, solver
from esprobe.tasks.records import read_records

SYSTEM = (
    "You are a helpful assistant. You first think about the reasoning process in your mind "
    "and then provide the user with the answer."
)
QUESTION = "Using the numbers {numbers}, create an equation that equals {target}. "
INSTRUCTIONS = (
    "You can use basic arithmetic operations (+, -, *, /) and each number can only be used once. "
    "Show your work in <think> </think> tags. "
    "And return the final answer in <answer> </answer> tags, for example <answer> (1 + 2) / 3 </answer>."
)
PREFILL = "Let me solve this step by step.\n<think>"

_TARGET = re.compile(r"-?\d{1,15}(\.\d{1,20})?", re.ASCII)
_WRITTEN = re.compile(r"[-+]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})([eE][-+]?\d{1,2})?", re.ASCII)
MAX_NUMBER = 10**9


class Countdown:
    """Reach a target from a few numbers with + - * /, each number used exactly once.

    Payload: `numbers` (list of whole numbers ≥ 0), `target` (a decimal as text, as it is written in the prompt). However a record
    writes them, `98`, `98.0` and `098` are one target.
    """

    name = "countdown"
    prefill = PREFILL
    default_scorer = "countdown"
    scorers: Mapping[str, Scorer] = {
        "countdown": scorers.countdown,
        "countdown-published": scorers.countdown_published,
    }

    def problem(self, record: Any) -> Problem:
        """Reads `numbers` (or `nums`), `target` and perhaps `solution`; other keys are ignored."""
        if not isinstance(record, Mapping):
            raise UserError('a problem must be an object such as {"numbers": [44, 19, 35], "target": "98"}')
        if line := lacking(record, "numbers", "nums") or lacking(record, "target"):
            raise UserError(line)
        numbers = record.get("numbers", record.get("nums"))
        if not isinstance(numbers, list) or not 1 <= len(numbers) <= 20 or not all(map(_is_whole, numbers)):
            raise UserError('"numbers" must be a list of 1 to 20 whole numbers, none negative')
        target = _canonical(record.get("target"))
        if target is None:
            raise UserError(
                f'"target" must be a number or a decimal as text such as "27.4", not {_short(record.get("target"))!r}'
            )
        solution = record.get("solution")
        return Problem(
            self.name,
            {"numbers": [int(x) for x in numbers], "target": target},
            solution if isinstance(solution, str) and solution else None,
        )

    def bundled(self) -> list[Problem]:
        """128 solvable problems, half with 3 and half with 4 numbers, that `countdown-tiny` never saw."""
        return self._shipped("problems.jsonl")

    def own(self, count: int | None) -> list[Problem]:
        """The bundled problems."""
        return self.bundled()[:count]

    def training(self, count: int | None) -> list[Problem]:
        """2,000 more, likewise, without decimals: see `esprobe.bundled.problems`, which made them."""
        return self._shipped("training.jsonl")[:count]

    def _shipped(self, name: str) -> list[Problem]:
        path = files("esprobe.tasks.countdown") / name
        return [self.problem(record) for _, record in read_records(Path(str(path)))]

    def messages(self, payload: Payload) -> list[dict[str, str]]:
        """The published study's prompt."""
        question = QUESTION.format(numbers=payload["numbers"], target=payload["target"])
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question + INSTRUCTIONS}]

    def prompt_digest(self) -> str:
        """SHA-256 over the texts above, 16 hex digits."""
        return hashlib.sha256("\n".join((SYSTEM, QUESTION, INSTRUCTIONS, PREFILL)).encode()).hexdigest()[:16]

    def facts(self, problem: Problem) -> Facts:
        """Enumerates up to 5 numbers; beyond that only a correct given solution proves anything.

        `outcomes` counts the values of valid expressions without signs, of which a random one is; see `solver`.
        """
        numbers, target = problem.payload["numbers"], problem.payload["target"]
        stratum = f"{len(numbers)} number{'' if len(numbers) == 1 else 's'}"
        if len(numbers) <= solver.MAX_NUMBERS:
            solved = solver.solve(numbers, Fraction(target))
            return Facts(solved.solution is not None, solved.solution, solved.chance, stratum, solved.outcomes)
        given = problem.given_solution
        if given and scorers.countdown(problem.payload, f"<answer>{given}</answer>").correct:
            return Facts(True, given, None, stratum)
        return Facts(None, None, None, stratum)

    def source(self) -> str:
        """The published study took its problems from a public repository."""
        return (
            "the published problems are the file archive/countdown/data/countdown.json of the public repository "
            "VsonicV/es-at-scale on GitHub; fetch it and give its path"
        )


def _is_whole(number: Any) -> bool:
    """Whether it is a whole number from 0 to MAX_NUMBER; JSON may write 44 as 44.0."""
    return type(number) in (int, float) and 0 <= number <= MAX_NUMBER and number == int(number)


def _canonical(target: Any) -> str | None:
    """The target as a decimal without needless zeros, point or sign; None for what is no such number, or too long a one.

    A float is the decimal that Python and JSON write for it, with or without an exponent.
    """
    try:
        text = str(target).strip() if type(target) in (int, float, str) else ""
    except ValueError:  # an integer of more digits than Python writes out
        return None
    if not _WRITTEN.fullmatch(text):
        return None
    plain = format(Decimal(text), "f")
    whole, _, digits = plain.removeprefix("-").partition(".")
    whole, digits = whole.lstrip("0") or "0", digits.rstrip("0")
    plain = ("-" if plain.startswith("-") and (digits or whole != "0") else "") + whole + ("." + digits if digits else "")
    return plain if _TARGET.fullmatch(plain) else None


def _short(value: Any) -> str:
    try:
        return str(value)[:40]
    except (ValueError, RecursionError):  # more digits or a deeper nesting than Python writes out
        return type(value).__name__
