"""Fuzzes the rule of number answers and what reads other programs' rollouts: any text gets a verdict, any file one error."""

import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["esprobe"]):
    from esprobe.errors import UserError
    from esprobe.pipeline.foreign import read_rollouts
    from esprobe.tasks.gsm8k.scorers import gsm8k, gsm8k_lenient, rational
    from esprobe.tasks.gsm8k.task import Gsm8k
    from esprobe.tasks.guarded import formulas_only
    from esprobe.tasks.wrapped import last_wrapped

RUNS = 300_000
ALPHABET = "0123456789+-*/()., \n%$\\{}#~!^_xeI'²٣"
PIECES = [
    "\\boxed{",
    "\\boxed",
    "<answer>",
    "</answer>",
    "####",
    "\\text{",
    "\\mathrm{",
    "{,}",
    "\\$",
    "\\,",
    " dollars",
    "1,000",
]
SIGNS = [*ALPHABET, *PIECES]


def check(data: bytes) -> None:
    """Reads the bytes as a response and as a file."""
    text = "".join(SIGNS[byte % len(SIGNS)] for byte in data)
    begun = time.process_time()
    strict, lenient = (scorer({"answer": "18"}, text) for scorer in (gsm8k, gsm8k_lenient))
    assert time.process_time() - begun < 10, "slow"
    for verdict in (strict, lenient):
        assert verdict.correct == (verdict.reason == "correct") == (verdict.ballot == "18")
        assert verdict.reason in ("no_answer", "not_a_number", "wrong_value", "correct")
    assert strict == lenient or last_wrapped(text) is None
    if strict.ballot is not None:
        assert str(rational(strict.ballot)) == strict.ballot, "a ballot reads as itself"
    with suppress(ValueError):
        formulas_only(_no_program)(text)
    FILE.write_bytes(data)
    with suppress(UserError):
        for _, record in read_rollouts(FILE, "auto"):
            with suppress(UserError):
                problem = Gsm8k().problem(record)
                assert Gsm8k().problem(problem.payload) == problem


def _no_program(text: str) -> None:
    """What reaches sympy's parser: no attribute, no text, no name but of a known function."""
    assert not set(text) & set("'\"_[]{}\\:;=@`"), text


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        FILE = Path(folder) / "fuzzed.jsonl"
        corpus = Path(folder) / "seeds"
        corpus.mkdir()
        seeds = [
            b'{"question": "?", "answer": "#### 18", "draw": 0, "text": "18", "tokens": 3}',
            b'{"doc": {"question": "?", "answer": "18"}, "resps": [["18", "17"]]}',
            b'{"eval": {}, "samples": [{"epoch": 1, "input": "?", "target": "18", "output": {"choices": []}}]}',
            b'{"question": ["?", "!"], "answer": ["1", "2"]}',
        ]
        for i, seed in enumerate(seeds):
            (corpus / str(i)).write_bytes(seed)
        words = sys.argv[1:] or [f"-runs={RUNS}", "-max_len=600"]
        atheris.Setup([sys.argv[0], *words, str(corpus)], check)
        atheris.Fuzz()
