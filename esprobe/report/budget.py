"""Lays out what training, selection, votes and samples are worth by what they spend: tables with verdicts, or records.

Knows what a budget contains and how its tables look; computes nothing beyond formatting.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from esprobe.analysis.budget import Budget, Point, Verdict
from esprobe.methods import GREEDY, PERTURBATION, TEMPERATURE
from esprobe.report import layout
from esprobe.report.budget_notes import answers, lacking, meaning, setting
from esprobe.report.render import Format, render
from esprobe.report.shapes import Made, Shape, fitted, heading
from esprobe.report.words import counted, percent, points, tenths
from esprobe.stats.intervals import Interval
from esprobe.stats.samplers import Measure

MOST_ROWS = 5  # of one kind in a table for people; programs get all
TITLES: dict[Measure, str] = {
    "value": "Without a verifier: the most frequent value of b answers",
    "expression": "Without a verifier: the most frequent expression of b answers",
    "pass": "With a verifier: whether any of b answers is right",
}
NAMES: dict[Measure, str] = {"value": "vote by value", "expression": "vote by expression", "pass": "pass"}
KINDS = {
    GREEDY.name: "base, greedily",
    TEMPERATURE.name: "samples",
    PERTURBATION.name: "perturbed models",
    "best of N": "best of N models",
    "top K": "top K of N models",
}
NOTHING = "No answer of the base, of its perturbed models or of a trained model to these problems is correct."


def budget_report(budgets: Sequence[Budget], style: Format) -> str:
    """Everything as text; CSV and JSON have one record per figure and per verdict, with full precision."""
    if style in ("csv", "json"):
        records = [record for one in budgets for record in _records(one)]
        return render(list(records[0]), [list(record.values()) for record in records], style)
    width = layout.terminal_width() if style == "table" else None
    texts = [_text(one, style, width) for one in budgets]
    if solving := [one for one in budgets if one.solved_anything]:
        texts.append("\n".join(heading(note, style, width) for note in meaning(solving)))
    return "\n\n\n".join(texts)


# ── For programs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _records(one: Budget) -> Iterator[dict[str, Any]]:
    compared = {id(verdict.trained): verdict for verdict in one.verdicts}
    for point in one.points:
        yield _record(one, point, compared.get(id(point)))


def _record(one: Budget, point: Point, verdict: Verdict | None) -> dict[str, Any]:
    """A figure, and where it is a trained model's, the best sampler at its budget and the difference."""
    low, high = point.interval or (None, None)
    sampler, delta = (verdict.sampler, verdict.delta) if verdict else (None, None)
    delta_low, delta_high = delta.interval if delta else (None, None)
    return {
        "task": one.task,
        "scorer": one.scorer,
        "base": one.base,
        "training": one.training.name,
        "training_seeds": len(one.training.lines),
        "test_problems": one.problems,
        "choice_problems": one.choice,
        "verifier": point.measure == "pass",
        "measure": NAMES[point.measure],
        "kind": point.kind,
        "model": point.model,
        "arm_id": point.arm.arm_id if point.arm else None,
        "method": point.arm.method if point.arm else GREEDY.name,
        "setting": point.arm.value if point.arm else None,
        "models_to_choose_from": point.size,
        "rollouts_before": point.before,
        "rollouts_per_problem": point.own,
        "rollouts_total": point.total,
        "value": point.value,
        "low": low,
        "high": high,
        "sampler": sampler and sampler.kind,
        "sampler_arm_id": sampler.arm.arm_id if sampler and sampler.arm else None,
        "sampler_models_to_choose_from": sampler and sampler.size,
        "sampler_rollouts_per_problem": sampler and sampler.own,
        "sampler_rollouts_total": sampler and sampler.total,
        "sampler_value": sampler and sampler.value,
        "delta": delta and delta.value,
        "delta_low": delta_low,
        "delta_high": delta_high,
        "margin": one.margin,
        "verdict": verdict and verdict.word,
        "problems_needed": verdict.needed if verdict and verdict.word == "undecided" else None,
    }


# ── For people ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(one: Budget, style: Format, width: int | None) -> str:
    seeds = counted(len(one.training.lines), "training seed")
    title = (
        f"{one.base} and {one.training.name}, {seeds}: {counted(one.problems, 'test problem')} of {one.task} that no training "
        f"used, scored by {one.scorer}"
    )
    top = heading(title, style, width, title=True)
    if not one.solved_anything:  # otherwise these would be tables of zeros
        return f"{top}\n\n{heading(NOTHING, style, width)}"
    parts = [top, "\n".join(heading(said, style, width) for said in answers(one))]
    for measure in ("value", "pass"):
        rows = thinned(one.of(measure))
        made = _figures(rows, _by_expression(one, measure))
        parts += [heading(f"{TITLES[measure]}:", style, width), fitted(made, style, width, (), ("by expression", "total"), False)]
        parts += _compared(one, rows, style, width)
    return "\n\n".join([*parts, "\n".join(heading(note, style, width) for note in lacking(one))])


def figures(one: Budget, measure: Measure) -> Made:
    """Names of columns and rows of the table of figures by one measure."""
    return _figures(thinned(one.of(measure)), _by_expression(one, measure))(Shape(()))


def _by_expression(one: Budget, measure: Measure) -> dict[tuple[Any, ...], Point]:
    """What stands in a row with a figure by value."""
    return {_key(point): point for point in one.of("expression")} if measure == "value" else {}


def _compared(one: Budget, rows: Sequence[Point], style: Format, width: int | None) -> list[str]:
    """The trained models of these rows, each with the best sampler for the same budget."""
    shown = {id(point) for point in rows}
    verdicts = [verdict for verdict in one.verdicts if id(verdict.trained) in shown]
    if not verdicts:
        return []
    extras = ("problems", "share", "budget")
    return [
        heading("Trained − the best sampler for the same budget:", style, width),
        fitted(lambda shape: _verdicts(verdicts, shape), style, width, (), extras, False),
    ]


def _key(point: Point) -> tuple[Any, ...]:
    """What a figure by value and one by expression have in common: what is spent, not the settings, which each chooses."""
    sampled = point.kind == "trained" and point.arm is not None
    return point.kind, point.model, sampled, point.own if point.kind != "top K" else None, point.size


def thinned(every: Sequence[Point]) -> list[Point]:
    """At most MOST_ROWS figures of each kind, and of trained models those with one answer or with all."""
    deepest: dict[str, int] = {}
    for point in every:
        deepest[point.model] = max(deepest.get(point.model, 1), point.own)
    kept = [p for p in every if p.kind != "trained" or p.own in (1, deepest[p.model])]
    kept = [p for p in kept if p.kind != "trained" or p.own > 1 or p.arm is None]  # not a single sample
    kinds: dict[tuple[str, bool], list[Point]] = {}
    for point in kept:
        kinds.setdefault((point.kind, point.kind == "trained" and point.own > 1), []).append(point)
    shown = {id(found[round(i)]) for found in kinds.values() for i in _spaced(len(found))}
    return [point for point in kept if id(point) in shown]


def _spaced(count: int) -> list[float]:
    return list(range(count)) if count <= MOST_ROWS else [i * (count - 1) / (MOST_ROWS - 1) for i in range(MOST_ROWS)]


def _figures(rows: Sequence[Point], by_expression: dict[tuple[Any, ...], Point]) -> Callable[[Shape], Made]:
    """The table's maker: a row for each figure."""

    def make(shape: Shape) -> Made:
        names = ["arm", "before", "b", "total", "share", *(["by expression"] if by_expression else [])]
        cells = []
        for point in rows:
            other = by_expression.get(_key(point))
            cells.append(
                [
                    _name(point),
                    f"{point.before:,.0f}",
                    f"{point.own:,}",
                    f"{point.total:,.0f}",
                    shape.cell(_share(point.value, point.interval)),
                    *([shape.cell(_share(other.value, other.interval)) if other else ""] if by_expression else []),
                ]
            )
        kept = [i for i, name in enumerate(names) if name not in shape.without]
        return [names[i] for i in kept], [[row[i] for i in kept] for row in cells]

    return make


def _share(value: float, interval: Interval | None) -> str:
    return percent(value, interval)


def _name(point: Point) -> str:
    words = point.model if point.kind == "trained" else KINDS[point.kind]
    return ", ".join(filter(None, [words, setting(point)]))


def _verdicts(verdicts: Sequence[Verdict], shape: Shape) -> Made:
    """budget: rollouts per test problem; share: of the sampler; problems: how many would decide."""
    names = ["arm", "b", "budget", "best sampler", "share", "difference", "verdict", "problems"]
    cells = [_verdict_row(verdict, shape) for verdict in verdicts]
    kept = [i for i, name in enumerate(names) if name not in shape.without]
    return [names[i] for i in kept], [[row[i] for i in kept] for row in cells]


def _verdict_row(verdict: Verdict, shape: Shape) -> list[str]:
    sampler = verdict.sampler
    return [
        _name(verdict.trained),
        f"{verdict.trained.own:,}",
        tenths(verdict.wanted),
        f"{setting(sampler) or KINDS[sampler.kind]}, b {sampler.own:,}",
        percent(sampler.value),
        shape.cell(points(verdict.delta.value, verdict.delta.interval)),
        verdict.word,
        f"{verdict.needed:,}" if verdict.word == "undecided" and verdict.needed is not None else "",
    ]
