"""The notes under a report: what its columns and baselines mean, and what a reader could otherwise misunderstand.

Knows the arms and their problems. Must not know tables or the database.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.baselines import Tried, chance_at, distinct_at
from esprobe.analysis.overview import Overview
from esprobe.arms import is_member_arm
from esprobe.report.words import agree, beyond, counted, distinct, names_of, percent

BY_EXPRESSION = (
    "By expression, answers vote alike only if they are the same up to order, parentheses and signs. Counting by value takes "
    "working out every answer, which is half of verifying it."
)
OFF = 0.05  # how far the effective σ may be from the nominal one, and how many weights may stay as they were, unsaid


def notes(seen: Overview, ks: Mapping[int, Sequence[int]], columns: Collection[str]) -> list[str]:
    """One line for each thing to know, in the order of the tables. `ks`, `columns`: which they show, the k by arm."""
    arms, names = seen.arms, _names(seen)
    return [
        *_columns(seen, ks, columns, names),
        *_ceilings(seen, names),
        *_doubts(arms, ks, names),
        *_vote_doubts(seen, ks, names),
        *_unfinished(arms, names),
        *_trained(seen, names),
        *_rounding(arms, names),
        *_alike(arms, seen.tried, names),
        *_samples(arms, names),
        *_depths(seen, ks, names),
    ]


def _trained(seen: Overview, names: Mapping[int, str]) -> Iterator[str]:
    """Trained models that are evaluated on what they were trained on, and the members of trainings, which have no rows."""
    for arm in seen.arms:
        if count := seen.trained_on_of(arm):
            yield f"note: {names[arm.arm_id]} was trained on {count:,} of {counted(arm.problems, 'problem')}."
    shown = {arm.arm_id for arm in seen.arms}
    members = sum(is_member_arm(arm.settings) for arm in seen.every if arm.arm_id not in shown)
    if members:
        yield (
            f"training: {counted(members, 'iteration')} {agree(members, 'is', 'are')} not shown, since each has other problems; "
            'see `esprobe sql "SELECT * FROM training"` and `esprobe report --budget`.'
        )


def _names(seen: Overview) -> dict[int, str]:
    """Short names that no two arms share, with the model where there are several."""
    names = {arm_id: name for found in seen.models for arm_id, name in names_of(found.arms).items()}
    if len(seen.models) == 1:
        return names
    ids = [arm.arm_id for arm in seen.arms]
    return dict(zip(ids, distinct([f"{arm.model} {names[arm.arm_id]}" for arm in seen.arms], ids), strict=True))


def _whose(arms: Sequence[ArmRow], seen: Overview, names: Mapping[int, str]) -> str:
    """Whose figures these are: nothing if of all arms; the models that have no other arms, the names of what remains."""
    ids = {arm.arm_id for arm in arms}
    if len(ids) == len(seen.arms):
        return ""
    whole = [found.arms for found in seen.models if len(seen.models) > 1 and ids >= {arm.arm_id for arm in found.arms}]
    rest = ids - {arm.arm_id for found in whole for arm in found}
    return _listed([*(found[0].model for found in whole), *(names[arm.arm_id] for arm in arms if arm.arm_id in rest)])


def _columns(
    seen: Overview, ks: Mapping[int, Sequence[int]], columns: Collection[str], names: Mapping[int, str]
) -> Iterator[str]:
    """What the columns and the rows without skill mean."""
    if any(ks.values()):
        shared = any(arm.shares_draws for arm in seen.arms)
        over = "problems, and over the perturbed models that all problems share" if shared else "problems"
        yield f"[low, high]: 95% interval over {over}."
        yield from _guessing(seen, ks, names)
        yield from _voting(seen)
    if "solved" in columns:
        yield "solved: problems with at least one correct draw, out of all draws of the arm."


def _guessing(seen: Overview, ks: Mapping[int, Sequence[int]], names: Mapping[int, str]) -> Iterator[str]:
    """What guessing scores at the largest k, as far as it is known."""
    deepest = max(seen.arms, key=lambda arm: arm.draws)
    tried, k = seen.tried[deepest.arm_id], ks[deepest.arm_id][-1]
    chance, by_value = chance_at(tried, k), distinct_at(tried, k)
    if chance is not None:
        met = seen.counts[deepest.arm_id].keys()
        whose = _whose([arm for arm in seen.arms if seen.counts[arm.arm_id].keys() == met], seen, names)
        scored = f"{percent(chance)} at k = {k}" + (f" on the problems of {whose}" if whose else "")
        apart = "" if by_value is None else f" values: {percent(by_value)}, if all possible values are equally likely."
        yield f"chance: guessing alone, with uniformly random valid answers, would score {scored}.{apart}"
        if any(solved for found in seen.models for solved in found.greedy.values()):
            yield "greedy+: the greedy answer and k − 1 guesses. A model that adds nothing but variety reaches this."
    elif any(_proven(problem) for arm in seen.arms for problem in seen.tried[arm.arm_id]):
        yield "chance is not known for every problem, so there is no comparison with guessing."
    else:
        yield f"chance and ceiling are not known under {seen.scorer}."


def _voting(seen: Overview) -> Iterator[str]:
    """What vote@k is, and what each kind of ballot asks of whoever counts."""
    if not any(found.can_vote for found in seen.models):
        return
    if "value" in seen.ballots:
        yield (
            "vote@k: how often the most frequent ballot of k draws is correct, ties shared: the mean over blocks of k draws. "
            "By value, answers of one value vote alike."
        )
    if "expression" in seen.ballots:
        yield BY_EXPRESSION


def _proven(problem: Tried) -> bool:
    """Whether anything is proven of the problem under this scorer."""
    return problem.chance is not None or problem.solvable is not None


def _ceilings(seen: Overview, names: Mapping[int, str]) -> Iterator[str]:
    """How many problems can be solved: proven, unknown and impossible ones separately; and whose, where arms differ in it."""
    found: dict[tuple[int, int, int], list[ArmRow]] = {}
    for arm in seen.arms:
        found.setdefault((arm.problems, arm.solvable, arm.unknown), []).append(arm)
    for (problems, solvable, unknown), arms in sorted(found.items(), key=lambda item: item[0]):
        impossible = problems - solvable - unknown
        whose = f" ({named})" if (named := _whose(arms, seen, names)) else ""
        if unknown == problems:
            continue
        if unknown:
            yield (
                f"at most{whose}: of {counted(problems, 'problem')} {solvable:,} {agree(solvable, 'is', 'are')} proven "
                f"solvable, {impossible:,} proven impossible and "
                f"{unknown:,} unknown, so at most {percent((solvable + unknown) / problems)} can be solved."
            )
        else:
            apart = f", {impossible:,} {agree(impossible, 'is', 'are')} proven impossible" if impossible else ""
            yield (
                f"ceiling{whose}: {solvable:,} of {counted(problems, 'problem')} ({percent(solvable / problems)}) can be "
                f"solved{apart}."
            )


def _doubts(arms: Sequence[ArmRow], ks: Mapping[int, Sequence[int]], names: Mapping[int, str]) -> list[str]:
    """Intervals that do not exist or are not trustworthy, and why."""
    said = []
    one = [names[arm.arm_id] for arm in arms if arm.shares_draws and arm.draws <= arm.samples]
    if one:
        said.append(f"1 model: {_listed(one)} has no interval; its share is over problems only, and another model may differ.")
    doubts: dict[str, dict[str, list[int]]] = {}  # why → arm → k
    for arm in arms:
        for k in (k for k in ks[arm.arm_id] if k in arm.at):
            interval = arm.at[k].interval
            if interval is not None and interval.doubt:
                doubts.setdefault(interval.doubt, {}).setdefault(names[arm.arm_id], []).append(k)
    for why, found in doubts.items():
        where = [f"{name} at k = {_listed([str(k) for k in places])}" for name, places in found.items()]
        said.append(f"not trustworthy: the interval of {_listed(where)}: {why}.")
    return said


def _vote_doubts(seen: Overview, ks: Mapping[int, Sequence[int]], names: Mapping[int, str]) -> Iterator[str]:
    """Perturbation arms with too few blocks of models to show how much votes of other models would differ."""
    if "value" not in seen.ballots:
        return
    found: dict[int, list[str]] = {}  # how many blocks → arm and k
    for arm in (arm for model in seen.models if model.can_vote for arm in model.arms):
        for k in ks[arm.arm_id]:
            vote = seen.votes[arm.arm_id].at("value", k) if arm.draws > 1 and arm.arm_id in seen.votes else None
            if vote is not None and vote.blocks is not None and vote.few_blocks:
                found.setdefault(vote.blocks, []).append(f"{names[arm.arm_id]} at k = {k}")
    for blocks, where in sorted(found.items()):
        if blocks == 1:
            yield f"1 block: vote@k of {_listed(where)} has no interval, since all its models make a single vote."
        else:
            yield f"not trustworthy: the interval of vote@k of {_listed(where)}: {blocks} blocks of models."


def _unfinished(arms: Sequence[ArmRow], names: Mapping[int, str]) -> list[str]:
    """Rollouts that ended in no number, and those cut off at the limit of tokens, with their share of each arm."""

    def shares(count: Callable[[ArmRow], int]) -> str:
        worst = sorted((arm for arm in arms if count(arm)), key=lambda arm: -count(arm) / arm.rollouts)
        return _listed([f"{names[arm.arm_id]} ({_share(count(arm), arm.rollouts)})" for arm in worst])

    said = []
    nan, cut = shares(lambda arm: arm.nan), shares(lambda arm: arm.cut_off)
    if nan:
        said.append(
            f"nan: rollouts of {nan} ended because the model's output was not a number (NaN): weights or dtype are at fault, "
            "not the model's answers. Try --dtype float32 or bfloat16."
        )
    if cut:
        said.append(f"cut off: rollouts of {cut} reached --max-new-tokens, or filled the context, before they ended.")
    return said


def _share(count: int, total: int) -> str:
    share = count / total
    return percent(share) if share >= 0.0001 else "under 0.01%"


def _rounding(arms: Sequence[ArmRow], names: Mapping[int, str]) -> list[str]:
    """Groups of weights in which the dtype leaves another σ than the one asked for, or leaves weights unchanged."""
    said = []
    for arm in arms:
        groups = (arm.rounding or {}).get("groups", {})
        off = [
            f"{name} (σ × {group['sigma']:.2f}, {percent(group['unchanged'])} unchanged)"
            for name, group in groups.items()
            if abs(group["sigma"] - 1) > OFF or group["unchanged"] > OFF
        ]
        if off:
            said.append(
                f"rounding: with {arm.settings.get('dtype')} {names[arm.arm_id]} perturbs differently than asked: {_listed(off)}."
            )
    return said


def _alike(arms: Sequence[ArmRow], tried: Mapping[int, Sequence[Tried]], names: Mapping[int, str]) -> list[str]:
    """Arms whose draws never differ in their verdict, as with σ = 0 or a T near 0."""
    found = [
        names[arm.arm_id]
        for arm in arms
        if arm.draws > 1 and arm.correct and all(problem.c in (0, problem.n) for problem in tried[arm.arm_id])
    ]
    return [f"all alike: the draws of {_listed(found)} agree on every problem, as if there were only one."] if found else []


def _samples(arms: Sequence[ArmRow], names: Mapping[int, str]) -> list[str]:
    """Arms of which several draws are of one model."""
    found = [names[arm.arm_id] for arm in arms if arm.samples > 1]
    if not found:
        return []
    return [
        f"samples: each perturbed model of {_listed(found)} gave several draws; pass@k takes any k of all draws. within, "
        "between models: which shares of a verdict's variance are due to the sample and to the model. quality: the part of the "
        "latter that is the same on all problems, with its standard deviation (SD) in percentage points of accuracy."
    ]


def _depths(seen: Overview, ks: Mapping[int, Sequence[int]], names: Mapping[int, str]) -> Iterator[str]:
    """Draws that are too few, and draws that are correlated."""
    arms = seen.arms
    short: dict[tuple[int, tuple[int, ...]], list[str]] = {}  # most draws, k that are asked for and beyond them → models
    for found in seen.models:
        most = max(arm.draws for arm in found.arms)
        if too_deep := tuple(sorted({k for k in seen.ks if k > most})):
            short.setdefault((most, too_deep), []).append(found.arms[0].model)
    for (most, too_deep), models in short.items():
        whose = "" if len(models) == len(seen.models) else f" of {_listed(models)}"
        yield f"note: no arm{whose} has more than {counted(most, 'draw')}, so there is no {beyond(too_deep)}."
    partial = [
        names[arm.arm_id] for arm in arms if any(k in arm.at and arm.at[k].problems < arm.problems for k in ks[arm.arm_id])
    ]
    if partial:
        yield f"note: some problems of {_listed(partial)} have fewer draws; their pass@k is over those that have at least k."
    yield from noise_notes(arms)


def none_correct(arms: Sequence[ArmRow], scorer: str) -> str:
    """Where all tables would be of zeros: that they are, and how to see why."""
    ids = ", ".join(str(arm.arm_id) for arm in arms)
    query = f"SELECT reason, count(*) FROM score WHERE scorer = '{scorer}' AND arm_id IN ({ids}) GROUP BY reason"
    return f'No rollout of these arms is correct; `esprobe sql "{query}"` says why.'


def noise_notes(arms: Sequence[ArmRow]) -> list[str]:
    """What is to be known of arms whose noise is not independent for every weight."""
    schemes = {arm.settings.get("noise") for arm in arms}
    notes = {
        "shared-seed": "shared-seed noise is correlated: parameters of equal shape get identical noise (the published scheme).",
        "low-rank": "low-rank noise moves linear layers only, by products of two thin matrices: another distribution than iid.",
    }
    return [line for scheme, line in notes.items() if scheme in schemes]


def _listed(names: Sequence[str], most: int = 6) -> str:
    """`a, b and c`, cut after `most`; empty without names."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
