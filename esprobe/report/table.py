"""The report as people and programs read it: tables of pass@k, of what is above chance and of vote@k, or a record per arm and k.

Knows the arms, their baselines and how a table looks at a given width. Knows no SQL and chooses no arm.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import TYPE_CHECKING, Any

from esprobe.analysis.arms import ArmRow, above_chance, told_apart
from esprobe.analysis.baselines import chance_at, distinct_at, greedy_at, strata_of
from esprobe.analysis.overview import ModelOnTask, Overview
from esprobe.analysis.votes import KEYS, Key
from esprobe.report import layout
from esprobe.report.notes import none_correct, notes
from esprobe.report.render import Format, render
from esprobe.report.shapes import Fitted, Made, Shape, fit, fitted, heading
from esprobe.report.words import counted, names_of, percent, points
from esprobe.stats.estimator import pass_at_k

if TYPE_CHECKING:  # numpy is slow to load
    from esprobe.stats.components import Components

DEFAULT_KS = (1, 8, 64, 512, 4096)


@dataclass(frozen=True)
class Section:
    """The tables of one model and task. `ks`: their columns; `names`: what to call an arm; `apart`: how to tell alikes apart."""

    title: str
    scorer: str
    found: ModelOnTask
    ks: Sequence[int]
    names: dict[int, str]
    apart: dict[int, str]
    components: "Mapping[int, Components]"


def report(seen: Overview, style: Format) -> str:
    """The whole report as text. CSV and JSON have one record per arm and k, with full precision."""
    if style in ("csv", "json"):
        return render(*_records(seen), style)
    width = layout.terminal_width() if style == "table" else None
    sections = list(_sections(seen))
    tables = [_tables(section, not seen.ks, style, width) for section in sections]
    columns = {name for table in tables for name in table.columns}
    ks = {arm.arm_id: section.ks for section in sections for arm in section.found.arms}
    said = [heading(note, style, width) for note in notes(seen, ks, columns)]
    return "\n\n".join([*(table.text for table in tables), "\n".join(said)])


def _sections(seen: Overview) -> Iterator[Section]:
    digests = {(arm.model, arm.model_digest) for arm in seen.arms}
    for found in seen.models:
        first = found.arms[0]
        model = first.model
        if sum(name == model for name, _ in digests) > 1:
            model += f" (model={first.model_digest[:8]})"
        sizes = sorted({arm.problems for arm in found.arms})
        problems = counted(sizes[0], "problem") if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,} problems"
        trained = f", {counted(first.steps, 'step')} of training from {first.root}" if first.steps else ""
        title = f"{model}{trained}: {first.task}, {problems}, scored by {seen.scorer}"
        split = {arm.arm_id: seen.components[arm.arm_id] for arm in found.arms if arm.arm_id in seen.components}
        yield Section(
            title=title,
            scorer=seen.scorer,
            found=found,
            ks=_ks(seen.ks, found.arms),
            names=names_of(found.arms),
            apart=told_apart(found.arms),
            components=split,
        )


def _ks(asked: Sequence[int], arms: Sequence[ArmRow]) -> list[int]:
    """The k that the user asks for, or else the usual ones and the number of draws; none beyond the draws of all these arms."""
    most = max(arm.draws for arm in arms)
    return [k for k in sorted(set(asked or (*DEFAULT_KS, most))) if k <= most]


# ── For programs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _records(seen: Overview) -> tuple[list[str], list[list[Any]]]:
    records = [_record(seen, arm, k) for arm in seen.arms for k in sorted(arm.at) if not seen.ks or k in seen.ks]
    columns = list(records[0] if records else _record(seen, seen.arms[0], min(seen.arms[0].at)))
    return columns, [list(record.values()) for record in records]


def _record(seen: Overview, arm: ArmRow, k: int) -> dict[str, Any]:
    at, above, split = arm.at[k], above_chance(arm, seen.tried[arm.arm_id], k), seen.components.get(arm.arm_id)
    low, high = at.interval or (None, None)
    above_low, above_high = (above and above.interval) or (None, None)
    between_low, between_high = (split and split.share_interval) or (None, None)
    return {
        "arm_id": arm.arm_id,
        "task": arm.task,
        "model": arm.model,
        "method": arm.method,
        "value": arm.value,
        "scorer": seen.scorer,
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
        "between_models": split and split.share,
        "between_models_low": between_low,
        "between_models_high": between_high,
        **{name: figure for key in KEYS for name, figure in _vote_record(seen, arm, key, k).items()},
    }


def _vote_record(seen: Overview, arm: ArmRow, key: Key, k: int) -> dict[str, Any]:
    vote = seen.votes[arm.arm_id].at(key, k) if arm.arm_id in seen.votes else None
    low, high = (vote and vote.interval) or (None, None)
    return {
        f"vote_by_{key}": vote and vote.vote_at_k,
        f"vote_by_{key}_low": low,
        f"vote_by_{key}_high": high,
        f"vote_by_{key}_doubt": vote.interval.doubt if vote and vote.interval else None,
    }


# ── For people ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tables(section: Section, may_hide: bool, style: Format, width: int | None) -> Fitted:
    """The title, and the tables of one model and task below one another; the columns are those of pass@k."""
    ks = section.ks
    passes = fit(lambda shape: _passes(section, shape), style, width, ks, ("tokens", "draws", "solved"), may_hide)
    nothing = [] if section.found.solved_anything else [heading(none_correct(section.found.arms, section.scorer), style, width)]
    parts = [heading(section.title, style, width, title=True), *nothing, passes.text]
    if ks and any(above_chance(arm, section.found.tried[arm.arm_id], min(arm.at)) for arm in section.found.arms):
        parts.append(heading("Above chance, in percentage points, paired by problem:", style, width))
        parts.append(fitted(lambda shape: _above(section, shape), style, width, ks, (), may_hide))
    parts += _votes(section, may_hide, style, width)
    parts += _strata(section, style, width)
    if section.components:
        parts.append(heading("Variance of a verdict on one problem, by where it comes from:", style, width))
        parts.append(fitted(lambda shape: _split(section, shape), style, width, ks, ("SD of quality",)))
    return Fitted("\n\n".join(parts), passes.columns)


def _passes(section: Section, shape: Shape) -> Made:
    """pass@k of every arm, then what needs no skill on the same problems."""
    sets = section.found.by_problems()
    rows: list[dict[str, str]] = []
    for arm in section.found.arms:
        row = {"arm": section.names[arm.arm_id], "problems": f"{arm.problems:,}", "draws": f"{arm.draws:,}"}
        row |= {f"pass@{k}": shape.cell(percent(arm.at[k].pass_at_k, arm.at[k].interval)) for k in shape.ks if k in arm.at}
        row |= {"solved": f"{arm.problems_solved:,}", "settings": section.apart.get(arm.arm_id, "")}
        row["tokens"] = "" if arm.mean_tokens is None else f"{arm.mean_tokens:.1f}"
        rows.append(row)
    for members in sets:
        rows += _baseline_rows(section, members, shape)
    columns = ["arm", "problems", "draws", *(f"pass@{k}" for k in shape.ks), "solved", "tokens", "settings"]
    left_out = {*shape.without, *(() if len(sets) > 1 else ("problems",)), *(() if section.apart else ("settings",))}
    columns = [column for column in columns if column not in left_out]
    return columns, [[row.get(column, "") for column in columns] for row in rows]


def _baseline_rows(section: Section, members: Sequence[ArmRow], shape: Shape) -> Iterator[dict[str, str]]:
    """What guessing scores on one set of problems, and how many of them can be solved at all."""
    tried = section.found.tried[members[0].arm_id]
    greedy = next((found for arm in members if (found := section.found.greedy[arm.arm_id])), {})
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


def _above(section: Section, shape: Shape) -> Made:
    """pass@k − chance of every arm, in points."""
    rows = []
    for arm in section.found.arms:
        cells = []
        for k in shape.ks:
            above = above_chance(arm, section.found.tried[arm.arm_id], k) if k in arm.at else None
            cells.append(shape.cell(points(above.difference, above.interval)) if above else "")
        rows.append([section.names[arm.arm_id], *cells])
    return ["arm", *(f"k = {k}" for k in shape.ks)], rows


def _split(section: Section, shape: Shape) -> Made:
    """How much of the variance is between perturbed models, how much of that is their quality, and how much is within them."""
    rows: list[dict[str, str]] = []
    for arm_id, split in section.components.items():
        row = {"arm": section.names[arm_id], "models": f"{split.models:,}", "samples": f"{split.samples:,}"}
        if split.share is not None:
            total = split.between + split.within
            ends = split.quality_interval
            row["between models"] = shape.cell(percent(max(0.0, split.share), split.share_interval))
            row["within"] = percent(min(1.0, split.within / total))
            row["quality"] = percent(max(0.0, split.quality / total))
            row["SD of quality"] = shape.cell(_deviation(split.quality, ends))
        rows.append(row)
    names = ["arm", "models", "samples", "within", "between models", "quality", "SD of quality"]
    names = [name for name in names if name not in shape.without]
    return names, [[row.get(name, "") for name in names] for row in rows]


def _deviation(variance: float, ends: tuple[float, float] | None) -> str:
    """The square root of a variance of shares, in percentage points; 0 where its estimate is below."""
    roots = [f"{100 * sqrt(max(0.0, end)):.1f}" for end in (variance, *(ends or ()))]
    return roots[0] if ends is None else f"{roots[0]} [{', '.join(roots[1:])}]"


def _votes(section: Section, may_hide: bool, style: Format, width: int | None) -> list[str]:
    """vote@k of every arm, a table for each kind of ballot that there is; none where votes say nothing."""
    parts: list[str] = []
    votes, ks = section.found.votes, section.ks
    if not section.found.can_vote:
        return parts
    for key in KEYS:

        def made(shape: Shape, key: Key = key) -> Made:
            rows = []
            for arm in section.found.arms:
                at = [votes[arm.arm_id].at(key, k) for k in shape.ks]
                rows.append([section.names[arm.arm_id], *(shape.cell(percent(a.vote_at_k, a.interval)) if a else "" for a in at)])
            return ["arm", *(f"vote@{k}" for k in shape.ks)], rows

        if ks and any(found.has(key) for found in votes.values()):
            parts.append(heading(f"vote@k, ballots by {key}:", style, width))
            parts.append(fitted(made, style, width, ks, (), may_hide))
    return parts


def _strata(section: Section, style: Format, width: int | None) -> list[str]:
    """pass@k of every arm on each stratum of the problems, at as many draws as more than half of the arms with several have."""
    arms = [arm for arm in section.found.arms if arm.draws > 1]
    alike = sum(any(arm.draws > 1 for arm in members) for members in section.found.by_problems()) == 1
    parts = strata_of(section.found.tried[arms[0].arm_id]) if alike and section.found.solved_anything else {}
    if not parts:
        return []
    k = sorted((arm.draws for arm in arms), reverse=True)[len(arms) // 2]
    names = [f"{name} ({len(parts[name]):,})" for name in parts]

    def made(_: Shape) -> Made:
        rows = []
        for arm in arms:
            own = strata_of(section.found.tried[arm.arm_id])
            cells = [[pass_at_k(p.n, p.c, k) for p in own[name] if p.n >= k] for name in parts]
            rows.append([section.names[arm.arm_id], *(percent(fmean(each)) if each else "" for each in cells)])
        guessing = [chance_at(parts[name], k) for name in parts]
        if None not in guessing:
            rows.append(["chance", *(percent(share) for share in guessing if share is not None)])
        return ["arm", *names], rows

    return [heading(f"pass@{k} by kind of problem (and how many there are):", style, width), fitted(made, style, width)]
