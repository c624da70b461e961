"""How the list of arms looks. Knows arms, not where they come from."""

import json
from collections.abc import Sequence

from esprobe.analysis.arms import ListedArm, told_apart
from esprobe.report.render import Format, render
from esprobe.report.words import arm_name

_SHOWN = ("id", "model", "arm", "task", "problems", "draws", "rollouts", "what else")


def arms_report(arms: Sequence[ListedArm], style: Format) -> str:
    """The arms for people, with the settings in which arms that look alike differ; or for programs, with all settings."""
    if style in ("csv", "json"):
        return render(ListedArm._fields, [(*arm[:-1], json.dumps(arm.settings, ensure_ascii=False)) for arm in arms], style)
    apart = told_apart([arm for arm in arms if arm.made is None]) | {a.arm_id: f"members of {a.made}" for a in arms if a.made}
    rows = [
        (a.arm_id, a.model, arm_name(a), a.task, a.problems, a.draws, f"{a.rollouts:,}", apart.get(a.arm_id, "")) for a in arms
    ]
    if not apart:
        return render(_SHOWN[:-1], [row[:-1] for row in rows], style)
    return render(_SHOWN, rows, style, under=_SHOWN[-1:])
