"""Fuzzes the scorers that ask a library in another process: any answer gets a verdict of a known reason, and none is fatal."""

import sys

import atheris

with atheris.instrument_imports(include=["esprobe"]):
    from esprobe.tasks.math.task import Math
    from esprobe.tasks.reasoning_gym.task import ReasoningGym

RUNS = 20_000
SETS = ("letter_counting", "complex_arithmetic", "spiral_matrix", "puzzle24", "simple_integration", "polynomial_multiplication")
REASONS = {"no_answer", "too_long", "wrong", "not_a_formula", "wrong_value", "correct", "timeout", "scorer_failed"}
ALPHABET = "0123456789+-*/()[]{}., \n^_xyzeijn'\"=!<>\\²٣\x00\ud800"
PIECES = ["**", "\\frac{", "\\sqrt{", "\\boxed{", "sin(", "exp(", "nan", "inf", "__", "import", "lambda ", "10**9", "<answer>"]
SIGNS = [*ALPHABET, *PIECES]


def check(data: bytes) -> None:
    """Spends the first byte on the task and spells the answer with the others."""
    answer = "".join(SIGNS[byte % len(SIGNS)] for byte in data[1:])
    if data[:1] < b"\x40":
        verdict = MATH.scorers["math"]({"answer": "\\frac{1}{2}"}, f"\\boxed{{{answer}}}")
    else:
        task, payload = GYM[data[0] % len(GYM)]
        verdict = task.scorers[task.name](payload, f"<answer>{answer}</answer>")
    assert verdict.reason in REASONS
    assert verdict.correct == (verdict.reason == "correct") == (verdict.reward == 1)
    assert 0 <= verdict.reward <= 1


if __name__ == "__main__":
    MATH = Math()
    GYM = [(task, task.own(1)[0].payload) for task in (ReasoningGym(name, {}) for name in SETS)]
    atheris.Setup([sys.argv[0], f"-runs={RUNS}", "-max_len=120", *sys.argv[1:]], check)
    atheris.Fuzz()
