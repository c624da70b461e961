"""Fuzzes both scorers: any text gets a verdict with a known reason, soon, and the published scorer's is the published rule's."""

import sys
import time
import warnings

import atheris

with atheris.instrument_imports(include=["esprobe"]):
    from esprobe.tasks.countdown.scorers import countdown, countdown_published

from tests.helpers.published import published_rule

RUNS = 1_000_000
REASONS = {"no_answer", "bad_characters", "wrong_numbers", "not_an_expression", "division_by_zero", "wrong_value", "correct"}
ALPHABET = "0123456789+-*/() \n.e_<>x²٣"
PIECES = ["<answer>", "</answer>", "</think>\n", "<think>", "1", "2", "3", "**", "//", "((", "))", "00", "--"]


def check(data: bytes) -> None:
    """Spends the first bytes on the problem and spells the text with the others."""
    provider = atheris.FuzzedDataProvider(data)
    numbers = [provider.ConsumeIntInRange(0, 12) for _ in range(provider.ConsumeIntInRange(1, 4))]
    problem: dict[str, object] = {"numbers": numbers, "target": str(provider.ConsumeIntInRange(-3, 40))}
    wrapped = provider.ConsumeBool()
    signs = [*ALPHABET, *PIECES]
    text = "".join(signs[byte % len(signs)] for byte in provider.ConsumeBytes(4000))
    if wrapped:
        text = f"<answer>{text}</answer>"
    begun = time.process_time()
    verdicts = [scorer(problem, text) for scorer in (countdown, countdown_published)]
    assert time.process_time() - begun < 60, "slow"
    for verdict in verdicts:
        assert verdict.reason in REASONS
        assert verdict.correct == (verdict.reason == "correct")
        assert 0 <= verdict.reward <= 1
    if verdicts[0].correct and text.count("<answer>") == 1 and "\n" not in text:  # of nested tags they take different ones
        assert verdicts[1].correct, "what is right exactly is right by the published rule"
    if "**" not in text and len(text) < 1000:  # where eval can neither hang nor be stopped by its own limits
        assert verdicts[1].correct == published_rule(problem, text), "not the published verdict"


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # eval warns of calls such as 1(2)
    atheris.Setup([sys.argv[0], f"-runs={RUNS}", "-max_len=400", *sys.argv[1:]], check)
    atheris.Fuzz()
