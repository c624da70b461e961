"""GSM8K as a task: read a problem and its gold number, ask it.

The only module that knows what a record looks like and the words of the prompt.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from esprobe.errors import UserError
from esprobe.tasks.base import Facts, Payload, Problem, Scorer, lacking, object_of, plain, short, text_of
from esprobe.tasks.gsm8k import scorers

INSTRUCTIONS = "Reason step by step, and put your final answer, a number, within \\boxed{}."
EXAMPLE = '{"question": "…", "answer": "… #### 72"}'


class Gsm8k:
    """Word problems with a number for an answer.

    Payload: `question`, and `answer`, the gold number in lowest terms (`72`, `137/5`). The number is what follows `####` in a
    record's `answer`, or all of it.
    """

    name = "gsm8k"
    prefill = ""
    default_scorer = "gsm8k"
    scorers: Mapping[str, Scorer] = {"gsm8k": scorers.gsm8k, "gsm8k-lenient": scorers.gsm8k_lenient}

    def problem(self, record: Any) -> Problem:
        """Reads `question` and `answer`; other keys are ignored."""
        record = object_of(record, EXAMPLE)
        question = text_of(record, "question")
        if line := lacking(record, "answer"):
            raise UserError(line)
        answer = record["answer"]
        gold = scorers.rational(_after_hashes(answer))
        if gold is None:
            raise UserError(f'"answer" must be a number, or a text that ends in #### and a number, not {short(answer)}')
        return Problem(self.name, {"question": question, "answer": str(gold)})

    def own(self, count: int | None) -> list[Problem]:
        """None ship with the package."""
        raise UserError(f"gsm8k has no problems of its own, so give them by --data FILE; {self.source()}")

    def training(self, count: int | None) -> list[Problem]:
        """None either."""
        return self.own(count)

    def messages(self, payload: Payload) -> list[dict[str, str]]:
        """The question, and where to put the answer."""
        return [{"role": "user", "content": f"{payload['question']}\n\n{INSTRUCTIONS}"}]

    def prompt_digest(self) -> str:
        """SHA-256 over the text above, 16 hex digits."""
        return hashlib.sha256(INSTRUCTIONS.encode()).hexdigest()[:16]

    def facts(self, problem: Problem) -> Facts:
        """Nothing is known of guessing a number, and the gold answer is only claimed."""
        return Facts(None, None, None)

    def source(self) -> str:
        """The data set's own repository."""
        return (
            "the published problems are the files train.jsonl and test.jsonl under grade_school_math/data of the public "
            f"repository openai/grade-school-math on GitHub, JSON Lines of {EXAMPLE}"
        )


def _after_hashes(answer: Any) -> str:
    """The part of a record's answer that is the number; a number of JSON's as it writes it."""
    answer = plain(answer)
    return answer.rpartition("####")[2].strip() if isinstance(answer, str) else ""
