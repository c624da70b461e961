"""MATH as a task: read a problem and its gold answer, ask it, have an answer compared.

The only module that knows what a record looks like and the words of the prompt.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from esprobe.errors import UserError
from esprobe.tasks.base import TIMEOUT, Facts, Payload, Problem, Score, Scorer, object_of, plain, text_of
from esprobe.tasks.killable import FailedError, Killable, StoppedError
from esprobe.tasks.wrapped import last_boxed

INSTRUCTIONS = "Reason step by step, and put your final answer within \\boxed{}."
EXAMPLE = r'{"problem": "…", "answer": "\\frac{1}{2}"}'
MAX_ANSWER = 1000  # characters
MAX_DEPTH = 16  # braces within braces

LIBRARY = Killable("esprobe.tasks.math.library", "math_verify", "math")


class Math:
    r"""Problems with a formula for an answer.

    Payload: `problem`, and `answer`, the gold answer in LaTeX. Of a record without `answer` it is the last `\boxed{…}` of its
    `solution`.
    """

    name = "math"
    prefill = ""
    default_scorer = "math"

    def __init__(self) -> None:
        """Raises UserError where math-verify is not installed."""
        LIBRARY.check()
        self.scorers: Mapping[str, Scorer] = {"math": math}

    def problem(self, record: Any) -> Problem:
        """Reads `problem` (or `question`) and `answer` (or `solution`); other keys are ignored."""
        record = object_of(record, EXAMPLE)
        problem = text_of(record, "problem", "question")
        if "answer" in record:
            answer = text_of({"answer": plain(record["answer"])}, "answer").strip()
        else:
            boxed = last_boxed(text_of(record, "answer", "solution"))
            answer = "" if boxed is None else boxed.content.strip()
        if not answer or len(answer) > MAX_ANSWER:
            raise UserError(
                f'the gold answer must be in "answer", or boxed in "solution", and have {MAX_ANSWER:,} characters at most'
            )
        return Problem(self.name, {"problem": problem, "answer": answer})

    def own(self, count: int | None) -> list[Problem]:
        """None ship with the package."""
        raise UserError(f"math has no problems of its own, so give them by --data FILE; {self.source()}")

    def training(self, count: int | None) -> list[Problem]:
        """None either."""
        return self.own(count)

    def messages(self, payload: Payload) -> list[dict[str, str]]:
        """The problem, and where to put the answer."""
        return [{"role": "user", "content": f"{payload['problem']}\n\n{INSTRUCTIONS}"}]

    def prompt_digest(self) -> str:
        """SHA-256 over the text above, 16 hex digits."""
        return hashlib.sha256(INSTRUCTIONS.encode()).hexdigest()[:16]

    def facts(self, problem: Problem) -> Facts:
        """Nothing is known of guessing a formula, and the gold answer is only claimed."""
        return Facts(None, None, None)

    def source(self) -> str:
        """Data sets of this form."""
        return f"the data sets MATH and MATH-500 are published on the Hugging Face hub; save one as JSON Lines of {EXAMPLE}"


def math(payload: Mapping[str, Any], text: str) -> Score:
    r"""The last `\boxed{…}` is equal to the gold answer by math-verify. The ballot is the formula as sympy writes it."""
    found = last_boxed(text)
    answer = "" if found is None else found.content.strip()
    if not answer:
        return Score(False, "no_answer", None, None, 0.0)
    if len(answer) > MAX_ANSWER or _depth(answer) > MAX_DEPTH:
        return Score(False, "not_a_formula", answer[:MAX_ANSWER], None, 0.0)
    reason, ballot = _compared(payload["answer"], answer)
    return Score(reason == "correct", reason, answer, ballot, float(reason == "correct"))


@lru_cache(maxsize=50_000)
def _compared(gold: str, answer: str) -> tuple[str, str | None]:
    """(reason, ballot); many draws give the same answer, and comparing one takes milliseconds."""
    try:
        reason, ballot = LIBRARY.call("verdict", gold, answer)
    except StoppedError:
        return TIMEOUT, None
    except FailedError:
        return "not_a_formula", None
    return reason, ballot


def _depth(answer: str) -> int:
    depth = deepest = 0
    for character in answer:
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
    return deepest
