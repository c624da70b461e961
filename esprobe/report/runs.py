"""How the runs of a database look. Knows rows of runs, not where they come from."""

from collections.abc import Sequence

from esprobe.analysis.rows import RunRow
from esprobe.report.render import Format, render
from esprobe.report.words import duration, per_second

_EXACT = ("id", "started", "ended", "seconds", "state", "message", "rollouts", "per_second", "command")
_SHOWN = ("id", "started (UTC)", "took", "state", "rollouts", "rate", "message", "command")


def runs_report(runs: Sequence[RunRow], style: Format) -> str:
    """The runs for people, or for programs with times in ISO 8601 and exact seconds."""
    if style in ("csv", "json"):
        exact = [(r.run_id, r.started, r.ended, r.seconds, r.state, r.message, r.rollouts, r.per_second, r.command) for r in runs]
        return render(_EXACT, exact, style)
    return render(_SHOWN, [_row(run) for run in runs], style, under=("message", "command"))


def _row(run: RunRow) -> tuple[object, ...]:
    took = "" if run.seconds is None else duration(run.seconds)
    rate = "" if run.per_second is None else per_second(run.per_second)
    return run.run_id, run.started[:19].replace("T", " "), took, run.state, run.rollouts, rate, run.message, run.command
