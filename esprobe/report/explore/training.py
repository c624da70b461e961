"""The trainings of the page, as plain JSON: learning curves, accuracy by what was spent, and the sentences of `report --budget`.

Knows budgets and what the page's script reads. Knows no HTML.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from esprobe.analysis.trainings import Iteration, Trainings
from esprobe.arms import trained_name
from esprobe.methods import GREEDY, TEMPERATURE
from esprobe.report.explore.shorten import ends
from esprobe.report.plots.findings import unbroken
from esprobe.report.render import visible

if TYPE_CHECKING:  # numpy is slow to load
    from esprobe.analysis.budget import Budget, Point


def trainings(found: Trainings) -> list[dict[str, Any]]:
    """One for each family of trainings; without budgets one of all trainings, with the reason."""
    if found.lacking:
        said, learning = [visible(found.lacking)], _members(found.iterations)
        return [{"name": "", "said": said, "notes": [], "learning": learning, "budget": [], "figures": []}]
    return [_training(one, found.iterations) for one in found.budgets]


def _training(one: "Budget", iterations: tuple[Iteration, ...]) -> dict[str, Any]:
    from esprobe.report.budget import TITLES, figures
    from esprobe.report.budget_notes import answers, lacking, meaning

    lines = {line.name for line in one.training.lines}
    return {
        "name": visible(f"{one.base} and {one.training.name}"),
        "problems": one.problems,
        "said": [unbroken(visible(said)) for said in answers(one)],
        "notes": [unbroken(visible(note)) for note in (*lacking(one), *meaning([one]))],
        "learning": [*_tested(one), *_members([step for step in iterations if step.name in lines])],
        "budget": [
            {"name": "without a verifier: vote", "series": _by_total(one.of("value"))},
            {"name": "with a verifier: any is right", "series": _by_total(one.of("pass"))},
        ],
        "figures": [[TITLES[measure], *figures(one, measure)] for measure in ("value", "pass")],
    }


def _members(iterations: Sequence[Iteration]) -> list[dict[str, Any]]:
    """For each training: the mean accuracy of an iteration's members, all of them made of the model before it."""
    return [
        {
            "name": visible(f"members of {name}, on training problems"),
            "tone": "members",
            "points": [[step.iteration - 1, step.mean_accuracy] for step in steps],
        }
        for name, steps in groupby(iterations, attrgetter("name"))
    ]


def _tested(one: "Budget") -> list[dict[str, Any]]:
    """Test accuracy by iteration: greedily, the base as iteration 0, and by as many samples as the models have."""
    points = {measure: [point for point in one.of(measure) if point.kind == "trained"] for measure in ("value", "pass")}
    base = [[0, point.value, *ends(point.interval)] for point in one.of("pass") if point.kind == GREEDY.name]
    greedy = [point for point in points["pass"] if point.arm is None]
    found = [{"name": "greedy, on test problems", "tone": "trained", "points": base + [_by_iteration(point) for point in greedy]}]
    deepest = max((point.own for point in points["pass"] if point.arm is not None), default=1)
    for measure, word, tone in (("value", "vote", "vote"), ("pass", "pass", "pass")):
        sampled = [point for point in points[measure] if point.arm is not None and point.own == deepest > 1]
        found.append({"name": f"{word}@{deepest}, on test problems", "tone": tone, "points": [_by_iteration(p) for p in sampled]})
    return [series for series in found if series["points"]]


def _by_iteration(point: "Point") -> list[Any]:
    return [trained_name(point.model)[1] or 1, point.value, *ends(point.interval)]


def _by_total(points: Sequence["Point"]) -> list[dict[str, Any]]:
    """Accuracy by all rollouts that were spent, for each way to spend them."""
    from esprobe.report.budget import KINDS

    trained = [point for point in points if point.kind == "trained"]
    deepest = max((point.own for point in trained), default=1)
    found = [(name, f"kind-{i}", [p for p in points if p.kind == kind]) for i, (kind, name) in enumerate(KINDS.items())]
    found.append(("trained, greedily", "trained", [point for point in trained if point.arm is None]))
    sampled = [point for point in trained if point.arm is not None and point.own == deepest > 1]
    found.append((f"trained, {deepest} samples", "trained sampled", sampled))
    banded = {KINDS[TEMPERATURE.name], found[-1 if sampled else -2][0]}  # more bands could not be told apart
    return [
        {
            "name": name,
            "tone": tone,
            "band": name in banded,
            "points": [[p.total, p.value, *ends(p.interval)] for p in sorted(each, key=attrgetter("total"))],
        }
        for name, tone, each in found
        if each
    ]
