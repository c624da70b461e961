"""Lays out comparisons of two arms: tables with sentences for people, one tidy row per figure for CSV and JSON.

Knows what a comparison contains and how its tables look; computes nothing beyond formatting. The sentences are in
`comparison_notes`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.chosen import Draws
from esprobe.analysis.comparison import Comparison, Step
from esprobe.methods import GREEDY
from esprobe.report import layout
from esprobe.report.comparison_notes import comparison_notes
from esprobe.report.plots.findings import finding
from esprobe.report.render import Format, render
from esprobe.report.shapes import Made, Shape, fit, fitted, heading
from esprobe.report.words import arm_name, counted, names_of, percent, points

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

Compared = tuple[str, float | int | None, str, float | int | None, float | None, float | None]  # section … high


def compare_report(found: Sequence[Comparison], scorer: str, style: Format) -> str:
    """Comparisons as text, of several first what each found; CSV and JSON have one row for each figure."""
    if style not in ("csv", "json"):
        several = [_findings(found, style)] if len(found) > 1 else []
        return "\n\n\n".join([*several, *(_text(one, scorer, style, bool(several)) for one in found)])
    rows: list[list[Any]] = []
    for one in found:
        arms = (one.first, one.second)
        head = [one.first.model, *map(arm_name, arms), *(arm.arm_id for arm in arms), scorer]
        rows += [[*head, *figure] for figure in _figures(one)]
    return render(COLUMNS, rows, style)


def _figures(one: Comparison) -> Iterator[Compared]:
    """(section, at, quantity, value, low, high) of everything that the tables say, with full precision."""
    setting = {
        "problems": one.problems,
        "depth": one.depth,
        "ceiling": (one.solvable + one.unknown) / one.problems,
        "solvable": one.solvable,
        "unknown": one.unknown,
        GREEDY.name: one.greedy,
        "common_seeds": one.common_seeds,
        "first_trained_on": one.trained_on[0],
        "second_trained_on": one.trained_on[1],
    }
    yield from _plain("setting", None, setting)
    for step in one.steps:
        yield from _step_figures(step)
    for vote in one.votes:
        yield from _plain("vote_at_k", vote.k, {"first": vote.first, "second": vote.second})
        yield "vote_at_k", vote.k, "difference", vote.difference, *_ends(vote.interval)
    for change in one.changes.at:
        yield from _plain("won_and_lost", change.k, {"won": change.won, "lost": change.lost})
        ballots = {"first": change.first_ballots, "second": change.second_ballots}
        yield from _plain("distinct_ballots", change.k, ballots)
    luck = {"first": one.changes.first_luck, "second": one.changes.second_luck}
    yield from _plain("won_by_luck", 1, luck)
    groups = {name: getattr(one.overlap, name) for name in ("both", "only_first", "only_second", "neither")}
    yield from _plain("overlap", one.depth, groups | {"mcnemar_p": one.overlap.p})
    for cover in one.cover:
        shares = {"first": cover.first, "second": cover.second, "chance": cover.chance}
        yield from _plain("cover_at_tau", cover.tau, shares)
    if one.halves:
        h = one.halves
        yield from _plain("chosen_on_other_half", h.k, {"first": h.first, "second": h.second})
        yield "chosen_on_other_half", h.k, "difference", h.difference, *_ends(h.interval)
        yield "chosen_on_other_half", h.k, "same_choice", h.same, None, None
    for draws in one.draws:
        yield from _draws_figures(draws, "first" if draws.arm is one.first else "second")


def _plain(section: str, at: float | None, values: Mapping[str, float | int | None]) -> Iterator[Compared]:
    """Figures without an interval."""
    for quantity, value in values.items():
        yield section, at, quantity, value, None, None


def _step_figures(step: Step) -> Iterator[Compared]:
    d = step.difference
    yield from _plain("pass_at_k", d.k, {"first": d.first, "second": d.second})
    yield "pass_at_k", d.k, "difference", d.difference, *_ends(d.interval)
    yield "pass_at_k", d.k, "difference_p", d.p, None, None
    yield "pass_at_k", d.k, "difference_bootstrap", d.difference, *_ends(step.bootstrap)
    yield from _plain("pass_at_k", d.k, {"union": step.union, "chance": step.chance, "greedy_and_guesses": step.floor})
    for side, above in (("first", step.first_over_chance), ("second", step.second_over_chance)):
        if above is not None:
            yield "pass_at_k", d.k, f"{side}_above_chance", above.difference, *_ends(above.interval)
    so_far = {"first": step.first_so_far, "second": step.second_so_far, "either": step.either_so_far}
    yield from _plain("solved_by_depth", d.k, so_far)


def _draws_figures(draws: Draws, side: str) -> Iterator[Compared]:
    yield "draws", None, f"{side}_mean_accuracy", draws.mean, None, None
    if draws.better is not None:
        yield "draws", None, f"{side}_share_better_than_greedy", draws.better / max(1, draws.count), None, None
    if draws.spread is not None:
        spread = {f"{side}_variance_of_true_accuracy": draws.spread.true, f"{side}_variance_p": draws.spread.p}
        yield from _plain("draws", None, spread)
    if draws.held_out is not None:
        held = draws.held_out
        yield from _plain("draws", None, {f"{side}_best_on_chosen": held.on_chosen, f"{side}_best_held_out": held.on_held})
        yield "draws", None, f"{side}_best_held_out_over_greedy", held.over_greedy, *_ends(held.interval)
    for draw, seed, _, accuracy in draws.best:
        yield "draws", draw, f"{side}_best_seed_{seed}", accuracy, None, None


def _ends(interval: Iterable[float] | None) -> tuple[float | None, float | None]:
    low, high = interval or (None, None)
    return low, high


def _findings(found: Sequence[Comparison], style: Format) -> str:
    """A line for each comparison, with whose figures they are."""
    width = layout.terminal_width() if style == "table" else None
    said = [f"{_whose(one)}{_finding(one)}" for one in found]
    return ("\n\n" if style == "markdown" else "\n").join(heading(line, style, width) for line in said)


def _finding(one: Comparison) -> str:
    """What the difference of the two arms says: the title of its plot."""
    return finding(*_names(one), [step.difference for step in one.steps])


def _names(one: Comparison) -> tuple[str, str]:
    """What to call the two arms; of two models with the last part of either's name."""
    if one.first.model != one.second.model:
        first, second = (f"{PurePath(arm.model).name} {arm_name(arm)}" for arm in (one.first, one.second))
    else:
        first, second = names_of([one.first, one.second]).values()
    return first, second


def _whose(one: Comparison) -> str:
    """The model that both arms are of; nothing where their names say their models."""
    return f"{one.first.model}: " if one.first.model == one.second.model else ""


def _text(one: Comparison, scorer: str, style: Format, several: bool) -> str:
    """One comparison; of several, the sentences below its tables say which it is too."""
    width = layout.terminal_width() if style == "table" else None
    a, b = _names(one)
    arms = f"{_kind(one.first, a)} against {_kind(one.second, b)}" if _whose(one) else f"{a} against {b}"
    drawn = f"{counted(one.problems, 'problem')}, {counted(one.depth, 'draw')} each"
    best = "" if one.choice is None else f"the best at k = {one.choice.k:,}, "
    title = f"{_whose(one)}{arms}, {best}on {drawn}, scored by {scorer}"
    curve = fit(lambda shape: _curve(one, a, b, shape), style, width, extras=("bootstrap", "greedy+", "p"))
    parts = [heading(title, style, width, title=True), heading(_finding(one), style, width), curve.text]
    if one.solved_anything:  # otherwise these would be tables of zeros
        parts += _details(one, a, b, style, width)
    notes = comparison_notes(one, a, b, curve.columns)
    said = [heading(note, style, width) for note in ([f"{_whose(one)}{a} against {b}:"] if several else []) + notes]
    return "\n\n".join([*parts, "\n".join(said)])


def _details(one: Comparison, a: str, b: str, style: Format, width: int | None) -> list[str]:
    """Votes, problems won and lost, coverage and the best models, each table below its heading."""
    parts = [
        *_voted(one, a, b, style, width),
        heading(f"Problems solved within the first {counted(one.depth, 'draw')} of each:", style, width),
        fitted(lambda _: _overlap(one, a, b), style, width),
        heading(f"Problems that {a} wins from {b} and loses to it, and distinct ballots per problem:", style, width),
        fitted(lambda _: _changes(one, a, b), style, width),
        heading("Share of the problems solved by the first draws:", style, width),
        fitted(lambda _: _by_depth(one, a, b), style, width),
    ]
    if one.cover:
        parts += [heading("cover@τ:", style, width), fitted(lambda _: _cover(one, a, b), style, width)]
    for draws in one.draws:
        best = f"Best models of {arm_name(draws.arm)} on these problems:"
        parts += [heading(best, style, width), fitted(_best_draws(draws), style, width)]
    return parts


def _voted(one: Comparison, a: str, b: str, style: Format, width: int | None) -> list[str]:
    """vote@k of both arms, where they have votes of several draws."""
    if not any(step.k > 1 for step in one.votes):
        return []
    rows = [
        [f"{step.k:,}", percent(step.first), percent(step.second), points(step.difference, step.interval)] for step in one.votes
    ]
    made = ["k", a, b, "difference"], rows
    return [heading("vote@k, ballots by value:", style, width), fitted(lambda _: made, style, width)]


def _kind(arm: ArmRow, name: str) -> str:
    """`temperature T 0.4`, `greedy`."""
    return name if name.startswith(arm.method) else f"{arm.method} {name}"


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


def _changes(one: Comparison, a: str, b: str) -> Made:
    """What k draws of each win, lose and answer."""
    rows = []
    for change in one.changes.at:
        ballots = ["" if each is None else f"{each:.2f}" for each in (change.first_ballots, change.second_ballots)]
        rows.append([f"{change.k:,}", f"{change.won:.1f}", f"{change.lost:.1f}", *ballots])
    known = [all(row[i] for row in rows) for i in (3, 4)]
    names = ["k", "won", "lost", *(f"ballots {name}" for name, there in zip((a, b), known, strict=True) if there)]
    return names, [[cell for cell in row if cell] for row in rows]


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
