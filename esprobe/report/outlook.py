"""How a sweep that has not run yet looks. Knows its counts, not where they come from."""

from esprobe.plan.outlook import Outlook
from esprobe.report.render import render, shown
from esprobe.report.words import counted, duration

_COLUMNS = ("arm", "rollouts", "in the database", "lacking")
_UNEVALUATED = "no evaluations are asked for; --evaluate-every, --test-data or -T adds them"


def outlook_report(seen: Outlook) -> str:
    """A table of the arms, and a line of what the lacking rollouts would take."""
    rows = [(arm.label, f"{arm.asked:,}", f"{arm.asked - arm.lacking:,}", f"{arm.lacking:,}") for arm in seen.arms]
    return "\n".join([render(_COLUMNS, rows, "table"), "", _line(seen), *([_UNEVALUATED] if seen.unevaluated else [])])


def _line(seen: Outlook) -> str:
    if not seen.lacking:
        return f"all {counted(seen.asked, 'rollout')} of {shown(seen.model)} are in the database; nothing would be generated"
    what = f"{seen.lacking:,} of {counted(seen.asked, 'rollout')} would be generated"
    first = f"{what} by {shown(seen.model)} ({seen.backend}, {seen.dtype})"
    return f"{first}\n{_cost(seen)}"


def _cost(seen: Outlook) -> str:
    most = f"at most {seen.most_tokens:,} tokens"
    if seen.tokens is None and seen.seconds is None:
        return f"{most}; how long that takes is known after a first run"
    about = [] if seen.tokens is None else [f"about {_round(seen.tokens)} tokens"]
    about += [] if seen.seconds is None else [f"about {duration(seen.seconds)}"]
    return f"{most}; going by the model's last run {' in '.join(about)}"


def _round(tokens: float) -> str:
    """To two digits, which is all that an estimate has."""
    return f"{float(f'{tokens:.2g}'):,.0f}"
