"""The report as people and programs read it: tables of pass@k and of what is above chance, or one record per arm and k.

Knows the arms, their baselines and how a table looks at a given width. Knows no SQL and chooses no arm.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from esprobe.analysis.arms import ArmRow, Filter, above_chance, load_arms, told_apart
from esprobe.analysis.baselines import Tried, chance_at, distinct_at, greedy_at, read_tried, strata_of
from esprobe.analysis.best import baseline, of_models
from esprobe.report import layout
from esprobe.report.notes import notes
from esprobe.report.render import Format, no_markup, render, shown_lines
from esprobe.report.shapes import Made, Shape, fitted, heading
from esprobe.report.words import names_of, percent, points
from esprobe.stats.estimator import pass_at_k
from esprobe.stats.intervals import Cell

DEFAULT_KS = (1, 8, 64, 512, 4096)


@dataclass(frozen=True)
class Group:
    """The arms of one model and task, with each arm's problems. `names`: what to call each arm; `apart`: how to tell alikes."""

    title: str
    arms: Sequence[ArmRow]
    tried: dict[int, list[Tried]]
    greedy: dict[int, dict[int, float]]  # arm → problem → solve rate of its greedy baseline
    names: dict[int, str]
    apart: dict[int, str]

    def sets(self) -> dict[tuple[int, ...], list[ArmRow]]:
        """The arms by the problems that they have; baselines depend on nothing else."""
        found: dict[tuple[int, ...], list[ArmRow]] = {}
        for arm in self.arms:
            found.setdefault(tuple(problem.problem_id for problem in self.tried[arm.arm_id]), []).append(arm)
        return found


def report(connection: sqlite3.Connection, chosen: Filter, ks: Sequence[int], style: Format) -> str:
    """The whole report as text. CSV and JSON have one record per arm and k, with full precision."""
    arms = load_arms(connection, chosen, ks)
    tried = read_tried(connection, chosen.scorer)
    if style in ("csv", "json"):
        return render(*_records(arms, tried, chosen.scorer, ks), style)
    every = arms if chosen == Filter(chosen.scorer) else load_arms(connection, Filter(chosen.scorer), only=())
    width = layout.terminal_width() if style == "table" else None
    most = max(arm.draws for arm in arms)
    wanted = sorted(set(ks) or {k for k in DEFAULT_KS if k <= most} | {most})
    groups = _groups(arms, every, tried, chosen.scorer)
    parts = [part for group in groups for part in _tables(group, wanted, not ks, style, width)]
    greedy = any(found for group in groups for found in group.greedy.values())
    said = shown_lines("\n".join(notes(arms, tried, wanted, chosen.scorer, greedy)))
    return "\n\n".join([*parts, no_markup(said) if style == "markdown" else layout.paragraph(said, width)])


def _groups(arms: Sequence[ArmRow], every: Sequence[ArmRow], tried: dict[int, list[Tried]], scorer: str) -> list[Group]:
    counts = {arm_id: {p.problem_id: Cell(p.n, p.c) for p in problems} for arm_id, problems in tried.items()}
    digests = {(arm.model, arm.model_digest) for arm in arms}
    groups = []
    for members in of_models(arms):
        greedy = {}
        for arm in members:
            asked = [problem.problem_id for problem in tried[arm.arm_id]]
            found = baseline(arm, every, counts, asked)
            greedy[arm.arm_id] = {i: counts[found.arm_id][i].c / counts[found.arm_id][i].n for i in asked} if found else {}
        model = members[0].model
        if sum(name == model for name, _ in digests) > 1:
            model += f" (model={members[0].model_digest[:8]})"
        sizes = sorted({arm.problems for arm in members})
        problems = f"{sizes[0]:,} problems" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,} problems"
        title = f"{model}: {members[0].task}, {'1 problem' if sizes == [1] else problems}, scored by {scorer}"
        groups.append(Group(title, members, tried, greedy, names_of(members), told_apart(members)))
    return groups


# ── For programs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _records(
    arms: Sequence[ArmRow], tried: dict[int, list[Tried]], scorer: str, ks: Sequence[int]
) -> tuple[list[str], list[list[Any]]]:
    records = [_record(arm, tried[arm.arm_id], scorer, k) for arm in arms for k in sorted(arm.at) if not ks or k in ks]
    columns = list(records[0]) if records else list(_record(arms[0], tried[arms[0].arm_id], scorer, min(arms[0].at)))
    return columns, [list(record.values()) for record in records]


def _record(arm: ArmRow, tried: Sequence[Tried], scorer: str, k: int) -> dict[str, Any]:
    at, above = arm.at[k], above_chance(arm, tried, k)
    low, high = at.interval or (None, None)
    above_low, above_high = (above and above.interval) or (None, None)
    return {
        "arm_id": arm.arm_id,
        "task": arm.task,
        "model": arm.model,
        "method": arm.method,
        "value": arm.value,
        "scorer": scorer,
        "problems": arm.problems,
        "draws": arm.draws,
        "rollouts": arm.rollouts,
        "correct": arm.correct,
        "problems_solved": arm.problems_solved,
        "solvable": arm.solvable,
        "unknown": arm.unknown,
        "cut_off": arm.cut_off,
        "nan": arm.nan,
        "mean_tokens": arm.mean_tokens,
        "mean_prompt_tokens": arm.mean_prompt_tokens,
        "k": k,
        "problems_at_k": at.problems,
        "pass_at_k": at.pass_at_k,
        "stderr": at.stderr,
        "low": low,
        "high": high,
        "doubt": at.interval.doubt if at.interval else None,
        "chance": at.chance,
        "over_chance": at.pass_at_k / at.chance if at.chance else None,
        "above_chance": above and above.difference,
        "above_chance_low": above_low,
        "above_chance_high": above_high,
    }


# ── For people ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tables(group: Group, ks: Sequence[int], may_hide: bool, style: Format, width: int | None) -> Iterator[str]:
    """The title, and the tables of one model and task below one another."""
    yield heading(group.title, style, width, title=True)
    yield fitted(lambda shape: _passes(group, shape), style, width, ks, ("tokens", "draws", "solved"), may_hide)
    if any(above_chance(arm, group.tried[arm.arm_id], min(arm.at)) for arm in group.arms):
        yield heading("Above chance, in percentage points, paired by problem:", style, width)
        yield fitted(lambda shape: _above(group, shape), style, width, ks, (), may_hide)
    yield from _strata(group, style, width)


def _passes(group: Group, shape: Shape) -> Made:
    """pass@k of every arm, then what needs no skill on the same problems."""
    several = len(group.sets()) > 1
    rows: list[dict[str, str]] = []
    for arm in group.arms:
        row = {"arm": group.names[arm.arm_id], "problems": f"{arm.problems:,}", "draws": f"{arm.draws:,}"}
        row |= {f"pass@{k}": shape.cell(percent(arm.at[k].pass_at_k, arm.at[k].interval)) for k in shape.ks if k in arm.at}
        row |= {"solved": f"{arm.problems_solved:,}", "settings": group.apart.get(arm.arm_id, "")}
        row["tokens"] = "" if arm.mean_tokens is None else f"{arm.mean_tokens:.1f}"
        rows.append(row)
    for members in group.sets().values():
        rows += _baseline_rows(group, members, shape)
    columns = ["arm", "problems", "draws", *(f"pass@{k}" for k in shape.ks), "solved", "tokens", "settings"]
    left_out = {*shape.without, *(() if several else ("problems",)), *(() if group.apart else ("settings",))}
    columns = [column for column in columns if column not in left_out]
    return columns, [[row.get(column, "") for column in columns] for row in rows]


def _baseline_rows(group: Group, members: Sequence[ArmRow], shape: Shape) -> Iterator[dict[str, str]]:
    """What guessing scores on one set of problems, and how many of them can be solved at all."""
    tried = group.tried[members[0].arm_id]
    greedy = next((found for arm in members if (found := group.greedy[arm.arm_id])), {})
    deepest = max(arm.draws for arm in members)
    ks = [k for k in shape.ks if k <= deepest]
    named: list[tuple[str, Callable[[int], float | None]]] = [
        ("chance", lambda k: chance_at(tried, k)),
        ("values", lambda k: distinct_at(tried, k)),
        ("greedy+", lambda k: greedy_at(tried, greedy, k)),
    ]
    for name, share in named:
        row = {f"pass@{k}": percent(score) for k in ks if (score := share(k)) is not None}
        if row:
            yield {"arm": name, "problems": f"{len(tried):,}"} | row
    arm = members[0]
    if arm.unknown < arm.problems:
        most = arm.solvable + arm.unknown
        name = "at most" if arm.unknown else "ceiling"
        row = {f"pass@{k}": percent(most / arm.problems) for k in ks}
        yield {"arm": name, "problems": f"{arm.problems:,}", "solved": f"{most:,}"} | row


def _above(group: Group, shape: Shape) -> Made:
    """pass@k − chance of every arm, in points."""
    rows = []
    for arm in group.arms:
        cells = []
        for k in shape.ks:
            above = above_chance(arm, group.tried[arm.arm_id], k) if k in arm.at else None
            cells.append(shape.cell(points(above.difference, above.interval)) if above else "")
        rows.append([group.names[arm.arm_id], *cells])
    return ["arm", *(f"k = {k}" for k in shape.ks)], rows


def _strata(group: Group, style: Format, width: int | None) -> list[str]:
    """pass@k of every arm on each stratum of the problems, at as many draws as more than half of the arms with several have."""
    arms = [arm for arm in group.arms if arm.draws > 1]
    sets = {tuple(problem.problem_id for problem in group.tried[arm.arm_id]) for arm in arms}
    parts = strata_of(group.tried[arms[0].arm_id]) if len(sets) == 1 else {}
    if not parts:
        return []
    k = sorted((arm.draws for arm in arms), reverse=True)[len(arms) // 2]
    names = [f"{name} ({len(parts[name]):,})" for name in parts]

    def made(_: Shape) -> Made:
        rows = []
        for arm in arms:
            own = strata_of(group.tried[arm.arm_id])
            cells = [[pass_at_k(p.n, p.c, k) for p in own[name] if p.n >= k] for name in parts]
            rows.append([group.names[arm.arm_id], *(percent(fmean(each)) if each else "" for each in cells)])
        guessing = [chance_at(parts[name], k) for name in parts]
        if None not in guessing:
            rows.append(["chance", *(percent(share) for share in guessing if share is not None)])
        return ["arm", *names], rows

    return [heading(f"pass@{k} by kind of problem (and how many there are):", style, width), fitted(made, style, width)]
