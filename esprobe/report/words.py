"""How an arm, a share and a difference are written, the same everywhere in a report."""

from collections.abc import Iterable, Sequence

from esprobe.analysis.arms import ArmRow, ListedArm
from esprobe.arms import value_words
from esprobe.methods import named


def percent(share: float, interval: Iterable[float] | None = None) -> str:
    """`43.8%`, with an interval `43.8% [35.4, 52.6]`; shares below 1% with one more digit."""
    digits = 2 if 0 < share < 0.00995 else 1
    if 0 < share < 0.00005 and interval is None:
        return "<0.01%"
    text = f"{100 * share:.{digits}f}%"
    return text if interval is None else f"{text} [{', '.join(f'{100 * end:.{digits}f}' for end in interval)}]"


def points(difference: float, interval: Iterable[float] | None = None) -> str:
    """A difference of two shares in percentage points: `+7.8`, with an interval `+7.8 [−0.3, +15.9]`."""
    text = f"{100 * difference:+.1f}"
    if interval is not None:
        text += f" [{', '.join(f'{100 * end:+.1f}' for end in interval)}]"
    return text.replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")


def tenths(number: float) -> str:
    """`204.8`, `1,372`: to one decimal, which a whole number does not need."""
    return f"{number:,.1f}".removesuffix(".0")


def duration(seconds: float) -> str:
    """`0.4 s`, `8 s`, `4 min`, `1 h 05 min`, `2 d 3 h`: as exact as a person waiting needs."""
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    minutes, days = round(seconds / 60), seconds / 86_400
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{int(days)} d {int(days % 1 * 24)} h"


def per_second(rate: float) -> str:
    """`1,372/s`, `52/s`, `5.1/s`, `0.042/s`: with two digits where it has them."""
    return f"{rate:,.0f}/s" if rate >= 9.95 else f"{rate:.1f}/s" if rate >= 0.995 else f"{rate:.2g}/s"


def counted(count: int, noun: str, one: str = "", more: str = "") -> str:
    """`1 problem`, `2,000 problems`, `1 problem is`: the number, the noun, whose plural has an s, and what agrees with them."""
    return " ".join(filter(None, [plural(f"{count:,}", noun), agree(count, one, more)]))


def agree(count: int, one: str, more: str) -> str:
    """`is` or `are`: what goes with one, or with any other number."""
    return one if count == 1 else more


def plural(number: str, noun: str) -> str:
    """The same of a number, or a range of numbers, that is text already."""
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def beyond(ks: Sequence[int]) -> str:
    """`pass@10 or pass@20`."""
    return " or ".join(f"pass@{k}" for k in ks)


def arm_name(arm: ArmRow | ListedArm) -> str:
    """`greedy`, `T 0.6`, `T 0.6, top-p 0.95`, `σ 0.01`, `σ 0.01–0.02 mixed`, `σ 0.01 × 8 at T 0.6`, `σ 0.01, low-rank 1`."""
    words = value_words(arm.value, arm.settings)
    return f"{named(arm.method).symbol} {words}" if words else arm.method


def p_words(p: float) -> str:
    """A p-value of two digits, `p = 0.012`; a very small one as `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def names_of(arms: Sequence[ArmRow]) -> dict[int, str]:
    """Arm id → a short name that no other of these arms has: `T 0.6`, or `T 0.6 #12` with its id where two are alike."""
    ids = [arm.arm_id for arm in arms]
    return dict(zip(ids, distinct([arm_name(arm) for arm in arms], ids), strict=True))


def distinct(names: Sequence[str], numbers: Sequence[int]) -> list[str]:
    """The names, each with its number where another one is alike: `T 0.6 #12`."""
    return [name if names.count(name) == 1 else f"{name} #{number}" for name, number in zip(names, numbers, strict=True)]
