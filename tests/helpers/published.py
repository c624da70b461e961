"""The published rule written down directly, as a user would: what ours is checked against, and timed against."""

import re


def published_rule(problem: dict[str, object], text: str) -> bool:
    """Whether the last answer is right: regex, sorted numbers, `eval`. Only for answers that cannot hang it."""
    found = re.findall(r"<answer>(.*?)</answer>", text, re.DOTALL)
    if not found or not re.match(r"^[0-9+\-*/() ]+$", found[-1]):
        return False
    if sorted(int(n) for n in re.findall(r"\d+", found[-1])) != sorted(problem["numbers"]):
        return False
    try:
        return abs(float(eval(found[-1], {"__builtins__": None}, {})) - float(problem["target"])) < 1e-5
    except Exception:
        return False
