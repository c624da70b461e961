"""Lays out comparisons of two arms: tables with sentences for people, one tidy row per figure for CSV and JSON.

Knows what a comparison holds and how its tables look; computes nothing beyond formatting. The sentences are in
`comparison_notes`.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from esprobe.analysis.arms import Filter
from esprobe.analysis.chosen import Draws
from esprobe.analysis.comparison import Comparison, compare
from esprobe.methods import GREEDY
from esprobe.report import layout
from esprobe.report.comparison_notes import comparison_notes
from esprobe.report.render import Format, render
from esprobe.report.shapes import Made, Shape, fitted, heading
from esprobe.report.words import arm_name, names_of, percent, points

COLUMNS = [
    "model",
    "first",
    "second",
    "first_arm_id",
    "second_arm_id",
    "scorer",
    "section",
    "at",
    "quantity",
    "value",
    "low",
    "high",
]

Figure = tuple[str, float | int | None, str, float | int | None, float | None, float | None]


def compare_report(connection: sqlite3.Connection, chosen: Filter, pair: Sequence[int], ks: Sequence[int], style: Format) -> str:
    """The comparison of the best arms of every model, or of the two arms of `pair`, as text."""
    found = compare(connection, chosen, pair, ks)
    if style in ("csv", "json"):
        rows: list[list[Any]] = []
        for one in found:
            head = [
                one.first.model,
                arm_name(one.first),
                arm_name(one.second),
                one.first.arm_id,
                one.second.arm_id,
                chosen.scorer,
            ]
            rows += [[*head, *figure] for figure in _figures(one)]
        return render(COLUMNS, rows, style)
    return "\n\n\n".join(_text(one, chosen.scorer, style) for one in found)


def _figures(one: Comparison) -> Iterator[Figure]:
    """(section, at, quantity, value, low, high) of everything that the tables say, with full precision."""
    yield "setting", None, "problems", one.problems, None, None
    yield "setting", None, "depth", one.depth, None, None
    yield "setting", None, "ceiling", (one.solvable + one.unknown) / one.problems, None, None
    yield "setting", None, "solvable", one.solvable, None, None
    yield "setting", None, "unknown", one.unknown, None, None
    yield "setting", None, GREEDY.name, one.greedy, None, None
    yield "setting", None, "common_seeds", one.common_seeds, None, None
    for step in one.steps:
        d = step.difference
        yield "pass_at_k", d.k, "first", d.first, None, None
        yield "pass_at_k", d.k, "second", d.second, None, None
        yield "pass_at_k", d.k, "difference", d.difference, *_ends(d.interval)
        yield "pass_at_k", d.k, "difference_p", d.p, None, None
        yield "pass_at_k", d.k, "difference_bootstrap", d.difference, *_ends(step.bootstrap)
        yield "pass_at_k", d.k, "union", step.union, None, None
        yield "pass_at_k", d.k, "chance", step.chance, None, None
        yield "pass_at_k", d.k, "greedy_and_guesses", step.floor, None, None
        for side, above in (("first", step.first_over_chance), ("second", step.second_over_chance)):
            if above is not None:
                yield "pass_at_k", d.k, f"{side}_above_chance", above.difference, *_ends(above.interval)
        yield "solved_by_depth", d.k, "first", step.first_so_far, None, None
        yield "solved_by_depth", d.k, "second", step.second_so_far, None, None
        yield "solved_by_depth", d.k, "either", step.either_so_far, None, None
    for group in ("both", "only_first", "only_second", "neither"):
        yield "overlap", one.depth, group, getattr(one.overlap, group), None, None
    yield "overlap", one.depth, "mcnemar_p", one.overlap.p, None, None
    for cover in one.cover:
        yield "cover_at_tau", cover.tau, "first", cover.first, None, None
        yield "cover_at_tau", cover.tau, "second", cover.second, None, None
        yield "cover_at_tau", cover.tau, "chance", cover.chance, None, None
    if one.halves:
        h = one.halves
        yield "chosen_on_other_half", h.k, "first", h.first, None, None
        yield "chosen_on_other_half", h.k, "second", h.second, None, None
        yield "chosen_on_other_half", h.k, "difference", h.difference, *_ends(h.interval)
        yield "chosen_on_other_half", h.k, "same_choice", h.same, None, None
    for draws in one.draws:
        side = "first" if draws.arm is one.first else "second"
        yield "draws", None, f"{side}_mean_accuracy", draws.mean, None, None
        if draws.better is not None:
            yield "draws", None, f"{side}_share_better_than_greedy", draws.better / max(1, draws.count), None, None
        if draws.spread is not None:
            yield "draws", None, f"{side}_variance_of_true_accuracy", draws.spread.true, None, None
            yield "draws", None, f"{side}_variance_p", draws.spread.p, None, None
        if draws.held_out is not None:
            yield "draws", None, f"{side}_best_on_chosen", draws.held_out.on_chosen, None, None
            yield "draws", None, f"{side}_best_held_out", draws.held_out.on_held, None, None
            yield "draws", None, f"{side}_best_held_out_over_greedy", draws.held_out.over_greedy, *_ends(draws.held_out.interval)
        for draw, seed, _, accuracy in draws.best:
            yield "draws", draw, f"{side}_best_seed_{seed}", accuracy, None, None


def _ends(interval: Iterable[float] | None) -> tuple[float | None, float | None]:
    low, high = interval or (None, None)
    return low, high


def _text(one: Comparison, scorer: str, style: Format) -> str:
    width = layout.terminal_width() if style == "table" else None
    a, b = names_of([one.first, one.second]).values()
    models = one.first.model if one.first.model == one.second.model else f"{one.first.model} / {one.second.model}"
    title = (
        f"{models}: {one.first.method} {a} against {one.second.method} {b}, on {one.problems:,} problems, "
        f"{one.depth:,} draws each, scored by {scorer}"
    )
    parts = [
        heading(title, style, width, title=True),
        fitted(lambda shape: _curve(one, a, b, shape), style, width, extras=("bootstrap", "greedy+", "p")),
        heading(f"Problems solved within the first {one.depth:,} draws of each:", style, width),
        fitted(lambda _: _overlap(one, a, b), style, width),
        heading("Share of the problems solved by the first draws:", style, width),
        fitted(lambda _: _by_depth(one, a, b), style, width),
    ]
    if one.cover:
        parts += [heading("cover@τ:", style, width), fitted(lambda _: _cover(one, a, b), style, width)]
    for draws in one.draws:
        best = f"Best models of {arm_name(draws.arm)} on these problems:"
        parts += [heading(best, style, width), fitted(_best_draws(draws), style, width)]
    said = [heading(note, style, width) for note in comparison_notes(one, a, b)]
    return "\n\n".join([*parts, "\n".join(said)])


def _curve(one: Comparison, a: str, b: str, shape: Shape) -> Made:
    """pass@k of both arms, their difference, and what draws of both together, and what no skill, would score."""
    rows = []
    for step in one.steps:
        d = step.difference
        row = {"k": f"{d.k:,}", a: percent(d.first), b: percent(d.second)}
        row["difference"] = shape.cell(points(d.difference, d.interval))
        row["p"] = _p(d.p)
        row["bootstrap"] = "" if step.bootstrap is None else points(0, step.bootstrap).partition(" ")[2]
        shares = {"union": step.union, "greedy+": step.floor, "chance": step.chance}
        rows.append(row | {name: "" if share is None else percent(share) for name, share in shares.items()})
    columns = ["k", a, b, "difference", "p", "bootstrap", "union", "greedy+", "chance"]
    names = [name for name in columns if name not in shape.without and (name in columns[:4] or any(row[name] for row in rows))]
    return names, [[row[name] for name in names] for row in rows]


def _p(p: float | None) -> str:
    """A p-value of two digits; very small ones as `<0.0001`."""
    return "" if p is None else "<0.0001" if p < 0.0001 else f"{p:.2g}"


def _overlap(one: Comparison, a: str, b: str) -> Made:
    o = one.overlap
    row = {"both": o.both, f"only {a}": o.only_first, f"only {b}": o.only_second, "neither": o.neither}
    impossible = one.problems - one.solvable - one.unknown
    if impossible:
        row["impossible"] = impossible
    names, cells = list(row), [f"{count:,}" for count in row.values()]
    return ([*names, "McNemar p"], [[*cells, _p(o.p)]]) if o.p is not None else (names, [cells])


def _by_depth(one: Comparison, a: str, b: str) -> Made:
    shares = [(s.difference.k, s.first_so_far, s.second_so_far, s.either_so_far) for s in one.steps]
    return ["first draws", a, b, "either"], [[f"{k:,}", *map(percent, found)] for k, *found in shares]


def _cover(one: Comparison, a: str, b: str) -> Made:
    known = any(cover.chance is not None for cover in one.cover)
    rows = [
        [f"{cover.tau:g}", percent(cover.first), percent(cover.second)]
        + ([percent(cover.chance) if cover.chance is not None else ""] if known else [])
        for cover in one.cover
    ]
    return ["τ", a, b, *(["chance"] if known else [])], rows


def _best_draws(draws: Draws) -> Callable[[Shape], Made]:
    rows = [[str(draw), str(seed), f"{correct:,}", percent(accuracy)] for draw, seed, correct, accuracy in draws.best]
    return lambda _: (["draw", "seed", "solved", "accuracy"], rows)
