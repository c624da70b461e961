"""Lays out what choosing among perturbed models is worth: two tables with sentences for people, one row per figure for programs.

Knows what a selection contains and how its tables look; computes nothing beyond formatting.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from esprobe.analysis.selection import Selection
from esprobe.report import layout
from esprobe.report.notes import none_correct
from esprobe.report.render import Format, render
from esprobe.report.selection_notes import answers, found, meaning, names
from esprobe.report.shapes import Made, Shape, fitted, heading
from esprobe.report.words import percent, points
from esprobe.stats.intervals import Interval
from esprobe.stats.reselection import DIFFERENCES, Figure
from esprobe.stats.selection import BY_EXPRESSION

COLUMNS = ["arm_id", "N_or_K", "quantity", "value", "low", "high"]
# Column of a table → the quantity that it shows
BEST = {
    "on train": "best_train",
    "on test": "best_test",
    "gain": "gain_test",
    "over greedy": "best_over_greedy",
    "equal: train": "best_train_null",
    "equal: test": "best_test_null",
}
VOTES = {
    "vote: best K": "vote_test",
    "random K": "vote_random",
    "K at best T": "temperature_vote",
    "best − T": "vote_over_temperature",
    "any: best K": "any_test",
    "any: random K": "any_random",
    "pass@K at best T": "temperature_pass",
}
_STRICTER = {title: f"{quantity}{BY_EXPRESSION}" for title, quantity in VOTES.items() if "vote" in quantity}


def select_report(selected: Sequence[Selection], scorer: str, style: Format) -> str:
    """What choosing among each population's models is worth, as text."""
    if style in ("csv", "json"):
        return render(COLUMNS, [row for one in selected for row in _rows(one)], style)
    width = layout.terminal_width() if style == "table" else None
    texts = [_text(one, scorer, style, width) for one in selected]
    if solving := [one for one in selected if one.solved_anything]:
        said = [heading(answer, style, width) for answer in answers(selected)]
        notes = [heading(note, style, width) for note in meaning(solving)]
        texts = [("\n\n" if style == "markdown" else "\n").join(said), *texts, "\n".join(notes)]
    return "\n\n\n".join(texts)


def _rows(one: Selection) -> Iterator[list[Any]]:
    """Every figure with full precision. The id of a population of several arms is theirs, joined by +."""
    ids = [arm.arm_id for arm in one.arms]
    arm_id: int | str = ids[0] if len(ids) == 1 else "+".join(map(str, ids))
    counts = {
        "models": one.models,
        "samples_per_model": one.samples,
        "problems": one.problems,
        "train_problems": one.train,
        "p_of_no_spread": one.selected.p,
    }
    yield from ([arm_id, None, name, value, None, None] for name, value in counts.items())
    spread = one.selected.spread
    yield [arm_id, None, "tau2", spread.variance, *_ends(spread.interval)]
    for figure in one.selected.figures:
        yield [arm_id, figure.at, figure.quantity, figure.value, *_ends(figure.interval)]


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.low, interval.high)


def _text(one: Selection, scorer: str, style: Format, width: int | None) -> str:
    where = "random halves" if one.train is None else f"{one.train:,} given problems"
    title = (
        f"{one.arms[0].model}: {one.models:,} models, {names(one)}, chosen on {where} of {one.problems:,} problems, "
        f"tested on the others, scored by {scorer}"
    )
    top = heading(title, style, width, title=True)
    if not one.solved_anything:  # otherwise these would be tables of zeros
        return f"{top}\n\n{heading(none_correct(one.every, scorer), style, width)}"
    parts = [
        top,
        heading("The best of N models:", style, width),
        fitted(lambda shape: _table(one, "N", BEST, shape), style, width, one.sizes, ("equal: test", "equal: train"), True),
    ]
    if one.ks:
        parts += [
            heading("K models together, by vote with ballots by value, and with a verifier:", style, width),
            fitted(lambda shape: _table(one, "K", VOTES, shape), style, width, one.ks, ("any: random K", "best − T"), True),
        ]
    if one.votes_by_expression:
        parts += [
            heading("K models together, by vote with ballots by expression:", style, width),
            fitted(lambda shape: _table(one, "K", _STRICTER, shape), style, width, one.ks, ("best − T",), True),
        ]
    return "\n\n".join([*parts, "\n".join(heading(note, style, width) for note in found(one))])


def _table(one: Selection, name: str, columns: dict[str, str], shape: Shape) -> Made:
    """A row for each N or K."""
    shown = {title: one.selected.at(quantity) for title, quantity in columns.items() if title not in shape.without}
    shown = {title: figures for title, figures in shown.items() if figures}
    return [name, *shown], [[f"{at:,}", *(_cell(figures.get(at), shape) for figures in shown.values())] for at in shape.ks]


def _cell(figure: Figure | None, shape: Shape) -> str:
    if figure is None:
        return ""
    if figure.quantity == "gain_test" and figure.at == 1:
        return "0.0"
    written = points if figure.quantity in DIFFERENCES else percent
    missing = "" if figure.interval else " [–]"
    return shape.cell(written(figure.value, figure.interval) + missing)
