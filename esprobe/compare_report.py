"""Lays out comparisons of two arms: tables with sentences for people, one tidy row per figure for CSV and JSON.

Knows what a comparison holds; reads nothing and computes nothing beyond formatting.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from esprobe.chosen import SPLITS, Draws
from esprobe.comparison import Comparison, compare
from esprobe.output import Format, no_markup, render, shown
from esprobe.report import ArmRow, Filter, percent

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
            head = [one.first.model, name(one.first), name(one.second), one.first.arm_id, one.second.arm_id, chosen.scorer]
            rows += [[*head, *figure] for figure in _figures(one)]
        return render(COLUMNS, rows, style)
    return "\n\n\n".join(_text(one, chosen.scorer, style) for one in found)


def name(arm: ArmRow) -> str:
    """`T 0.6`, `σ 0.01`, `greedy`."""
    if arm.value is None:
        return arm.method
    return f"{'σ' if arm.method == 'perturbation' else 'T'} {arm.value:g}"


def _figures(one: Comparison) -> Iterator[Figure]:
    """(section, at, quantity, value, low, high) of everything that the tables say, with full precision."""
    yield "setting", None, "problems", one.problems, None, None
    yield "setting", None, "depth", one.depth, None, None
    yield "setting", None, "ceiling", one.solvable / one.problems, None, None
    yield "setting", None, "greedy", one.greedy, None, None
    for step in one.steps:
        d = step.difference
        yield "pass_at_k", d.k, "first", d.first, None, None
        yield "pass_at_k", d.k, "second", d.second, None, None
        yield "pass_at_k", d.k, "difference", d.difference, *(d.interval or (None, None))
        yield "pass_at_k", d.k, "difference_bootstrap", d.difference, *(step.bootstrap or (None, None))
        yield "pass_at_k", d.k, "union", step.union, None, None
        yield "pass_at_k", d.k, "chance", step.chance, None, None
        yield "solved_by_depth", d.k, "first", step.first_so_far, None, None
        yield "solved_by_depth", d.k, "second", step.second_so_far, None, None
        yield "solved_by_depth", d.k, "either", step.either_so_far, None, None
    for group in ("both", "only_first", "only_second", "neither"):
        yield "overlap", one.depth, group, getattr(one.overlap, group), None, None
    yield "overlap", one.depth, "mcnemar_p", one.overlap.p, None, None
    for at in one.cover:
        yield "cover_at_tau", at.tau, "first", at.first, None, None
        yield "cover_at_tau", at.tau, "second", at.second, None, None
        yield "cover_at_tau", at.tau, "chance", at.chance, None, None
    if one.halves:
        yield "chosen_on_other_half", one.halves.k, "first", one.halves.first, None, None
        yield "chosen_on_other_half", one.halves.k, "second", one.halves.second, None, None
        yield "chosen_on_other_half", one.halves.k, "difference", one.halves.difference, *(one.halves.interval or (None, None))
        yield "chosen_on_other_half", one.halves.k, "same_choice", one.halves.same, None, None
    for draws in one.draws:
        side = "first" if draws.arm is one.first else "second"
        yield "draws", None, f"{side}_mean_accuracy", draws.mean, None, None
        if draws.better is not None:
            yield "draws", None, f"{side}_share_better_than_greedy", draws.better / max(1, draws.count), None, None
        for draw, seed, _, accuracy in draws.best:
            yield "draws", draw, f"{side}_best_seed_{seed}", accuracy, None, None


def _text(one: Comparison, scorer: str, style: Format) -> str:
    a, b = name(one.first), name(one.second)
    if a == b:
        a, b = f"{a} (arm {one.first.arm_id})", f"{b} (arm {one.second.arm_id})"
    models = one.first.model if one.first.model == one.second.model else f"{one.first.model} / {one.second.model}"
    title = (
        f"{models}: {one.first.method} {a} against {one.second.method} {b}, on {one.problems} problems, {one.depth} draws each"
    )
    curve = render(
        ["k", f"pass@k {a}", f"pass@k {b}", "difference in points", "bootstrap", "union of k/2 each", "chance"],
        [
            [
                step.difference.k,
                percent(step.difference.first),
                percent(step.difference.second),
                _points(step.difference.difference, step.difference.interval),
                _points(None, step.bootstrap),
                "" if step.union is None else percent(step.union),
                "" if step.chance is None else percent(step.chance),
            ]
            for step in one.steps
        ],
        style,
    )
    o = one.overlap
    groups = render(
        [f"solved in {one.depth} draws by both", f"only {a}", f"only {b}", "neither", "ceiling", "McNemar p"],
        [[o.both, o.only_first, o.only_second, o.neither, one.solvable, "" if o.p is None else f"{o.p:.3g}"]],
        style,
    )
    depth = render(
        ["first draws", f"solved by {a}", f"solved by {b}", "by either"],
        [[s.difference.k, percent(s.first_so_far), percent(s.second_so_far), percent(s.either_so_far)] for s in one.steps],
        style,
    )
    cover = render(
        ["τ", f"cover@τ {a}", f"cover@τ {b}", "chance"],
        [
            [f"{at.tau:g}", percent(at.first), percent(at.second), "" if at.chance is None else percent(at.chance)]
            for at in one.cover
        ],
        style,
    )
    parts = [
        f"**{_shown(title, style)}**" if style == "markdown" else shown(title),
        curve,
        "\n".join(_shown(note, style) for note in _notes(one, a, b, scorer)),
        groups,
        depth,
        cover,
    ]
    for draws in one.draws:
        parts += [_best_draws(draws, style), _shown(_draws_note(draws), style)]
    return "\n\n".join(parts)


def _shown(text: str, style: Format) -> str:
    return no_markup(shown(text)) if style == "markdown" else shown(text)


def _points(value: float | None, interval: Iterable[float] | None) -> str:
    parts = [] if value is None else [f"{100 * value:+.1f}"]
    if interval is not None:
        low, high = interval
        parts.append(f"[{100 * low:+.1f}, {100 * high:+.1f}]")
    return " ".join(parts).replace("-", "−")


def _notes(one: Comparison, a: str, b: str, scorer: str) -> list[str]:
    notes = [
        f"difference: {a} − {b}, paired by problem, with its 95% interval; bootstrap: the same from resampled problems and "
        "perturbed models.",
        "union: k/2 draws of each arm, the same budget as k of one. chance: uniformly random valid answers. "
        f"ceiling: {one.solvable} of {one.problems} can be solved. Scored by {scorer}.",
        "cover@τ: the share of problems of which at least a share τ of the draws is right, by "
        f"{one.depth} draws of each arm; chance: of as many random valid answers.",
    ]
    last = one.steps[-1]
    if last.chance and last.chance >= max(last.difference.first, last.difference.second):
        notes.append(
            f"At k = {last.difference.k} random valid answers ({percent(last.chance)}) do at least as well as either arm."
        )
    if one.greedy is not None:
        notes.append(
            f"fair comparison: greedy decoding solves {percent(one.greedy)}. One greedy answer, of this or of a trained "
            "model, belongs beside pass@1, not beside pass@k."
        )
    else:
        notes.append("fair comparison: one greedy answer of a trained model belongs beside pass@1, not beside pass@k.")
    unlike = _unlike(one.first, one.second)
    if unlike:
        notes.append(f"note: the arms also differ in {unlike}.")
    if "shared-seed" in (one.first.settings.get("noise"), one.second.settings.get("noise")):
        notes.append("shared-seed noise is correlated: parameters of equal shape get identical noise (the published scheme).")
    if one.left_out:
        notes.append(f"note: {one.left_out} problems are left out, which only one arm has, or with fewer draws.")
    halves = one.halves
    if one.choice is not None and halves is None:
        notes.append("winner's curse: a single draw, or a single problem, cannot be halved to compare the best arms elsewhere.")
        return notes
    if halves is None:
        notes.append(
            "These arms were named, not chosen; if their own results led to them, the difference flatters the better one."
        )
        return notes
    if halves.first_arms + halves.second_arms > 2:
        alike = halves.problems == one.problems  # the chosen two may share problems that other candidates lack
        here = f" {_points(None, halves.interval)} (on the same problems and draws {_signed(halves.flattered)})"
        those = "" if alike else f" of the {halves.problems} problems that every candidate has"
        notes.append(
            f"winner's curse: these are the best of {halves.first_arms} temperature and {halves.second_arms} perturbation arms "
            f"on these very problems, which flatters both. Chosen on one half{those} and of the draws and "
            f"compared on the other half of both, both ways round, {SPLITS} random splits: "
            f"pass@{halves.k} {percent(halves.first)} against {percent(halves.second)}, difference "
            f"{_signed(halves.difference)} points{here}; the choice was the same {100 * halves.same:.0f}% of the time."
        )
    else:
        notes.append("There is one arm of each kind, so no winner was chosen.")
    if halves.left_out:
        notes.append(f"note: {halves.left_out} arms have fewer draws or other problems and were not candidates.")
    return notes


def _unlike(first: ArmRow, second: ArmRow) -> str:
    """The settings that both arms have and that differ: what the comparison also compares."""
    keys = [k for k in first.settings if k in second.settings and k not in ("seed", "prompt_digest")]
    return ", ".join(f"{k} ({first.settings[k]} / {second.settings[k]})" for k in keys if first.settings[k] != second.settings[k])


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _best_draws(draws: Draws, style: Format) -> str:
    rows = [[draw, seed, correct, percent(accuracy)] for draw, seed, correct, accuracy in draws.best]
    return render([f"best draws of {name(draws.arm)}", "seed", "solved", "accuracy"], rows, style)


def _draws_note(draws: Draws) -> str:
    models = f"perturbed models of {name(draws.arm)}"
    if draws.better is None or draws.greedy is None:
        return f"{draws.count} {models} solve {percent(draws.mean)} on average; there is no greedy baseline to beat."
    share = percent(draws.better / max(1, draws.count))
    return (
        f"{draws.better} of {draws.count} {models} ({share}) beat greedy decoding of the unperturbed model "
        f"({percent(draws.greedy)}); on average they solve {percent(draws.mean)}. The best of many is the best on these "
        "problems: on others expect less."
    )
