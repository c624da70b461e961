"""The one rule for which arms are compared: the best arm of each kind, greedy's baseline, shared problems, the first k draws.

`report --compare`, the plots and the page of `explore` all use it, so that they name the same winner. Knows the counts of each
arm × problem and the settings of arms, no database and no layout. Plain Python.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from esprobe.methods import COMPARED, GREEDY
from esprobe.stats.estimator import SAME, pass_at_k
from esprobe.stats.intervals import Cell

Counts = Mapping[int, Cell]  # problem → draws and correct draws of one arm
KINDS = tuple(method.name for method in COMPARED)
_ONLY_OF_DRAWS = frozenset({"seed", "seeds", "device"})  # settings of which draws are made, which greedy decoding lacks


class ArmLike(Protocol):
    """What the rule asks of an arm: a row of the report has it."""

    @property
    def arm_id(self) -> int:
        """Its row's id."""

    @property
    def model_digest(self) -> str:
        """Two models may have one name."""

    @property
    def method(self) -> str:
        """One of `methods.NAMES`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else identifies the arm."""


A = TypeVar("A", bound=ArmLike)


@dataclass(frozen=True)
class Choice:
    """The best arm of each kind, by pass@k on `problems`: ids of arms, one entry for each kind, in the order of the kinds.

    `tied`: all arms of the kind that have the best one's pass@k, itself included. `candidates`: all arms that it was chosen from.
    `left_out`: arms that are no candidates, since they have fewer than k draws or other problems.
    """

    k: int
    problems: tuple[int, ...]
    best: tuple[int, ...]
    tied: tuple[tuple[int, ...], ...]
    candidates: tuple[tuple[int, ...], ...]
    left_out: tuple[int, ...]


@dataclass(frozen=True)
class Shared:
    """What two arms are compared on: the problems of which both have at least `depth` draws.

    Of each of these problems, in either arm, the first `depth` draws in their order count, 0 … depth − 1, wherever the result
    depends on which draws are taken (solved or not, overlap). `left_out`: problems that only one arm has, or with fewer draws.
    """

    problems: tuple[int, ...]
    depth: int
    left_out: int


def of_models(arms: Sequence[A]) -> list[list[A]]:
    """The arms of each model and task, in their order: only within one is a best arm chosen."""
    groups: dict[tuple[str, str], list[A]] = {}
    for arm in arms:
        groups.setdefault((arm.model_digest, str(arm.settings.get("task", ""))), []).append(arm)
    return list(groups.values())


def choose(arms: Sequence[A], solved: Mapping[int, Counts], kinds: Sequence[str] = KINDS) -> Choice | None:
    """The best arm of each method of `kinds` among `arms`, which belong to one model; kinds without an arm are passed over.

    k is the largest number of draws that more than half of the arms of each kind have, so that one arm barely begun does not
    decide; arms with fewer are left out. The problems are those that all candidates share; an arm that would more than halve
    them is left out too. Equal pass@k: the higher pass@1 on the same problems, then the first in the order of `arms`.
    None where no kind has an arm, or where the kinds have no problem in common.
    """
    by_kind = [[arm.arm_id for arm in arms if arm.method == kind] for kind in kinds]
    by_kind = [ids for ids in by_kind if ids]
    if not by_kind:
        return None
    depths = {i: depth(solved[i]) for ids in by_kind for i in ids}
    k = min(sorted((depths[i] for i in ids), reverse=True)[len(ids) // 2] for ids in by_kind)
    reach = {i: {p for p, cell in solved[i].items() if cell.n >= k} for ids in by_kind for i in ids if depths[i] >= k}
    problems, kept = _shared_by_most(reach, by_kind)
    candidates = [tuple(i for i in ids if i in kept) for ids in by_kind]
    if not problems or not all(candidates):
        return None

    def mean(arm_id: int, at: int) -> float:
        alike = Counter(solved[arm_id][problem] for problem in problems)  # problems of equal counts, computed once
        return sum(times * pass_at_k(cell.n, cell.c, at) for cell, times in alike.items()) / len(problems)

    best, tied = [], []
    for ids in candidates:
        means = {i: mean(i, k) for i in ids}
        equals = tuple(i for i in ids if means[i] >= max(means.values()) - SAME)
        ones = {i: mean(i, 1) for i in equals}
        best.append(next(i for i in equals if ones[i] >= max(ones.values()) - SAME))
        tied.append(equals)
    left_out = tuple(i for ids in by_kind for i in ids if i not in kept)
    return Choice(
        k=k, problems=tuple(problems), best=tuple(best), tied=tuple(tied), candidates=tuple(candidates), left_out=left_out
    )


def _shared_by_most(reach: Mapping[int, set[int]], by_kind: Sequence[Sequence[int]]) -> tuple[list[int], set[int]]:
    """(problems, arms that have them all), from the arm with most problems on, without arms that would more than halve them."""
    shared: set[int] = set()
    kept: set[int] = set()
    for arm_id, problems in sorted(reach.items(), key=lambda item: -len(item[1])):  # stable: the first of equals
        if not kept:
            shared, kept = problems, {arm_id}
        elif 2 * len(shared & problems) >= len(shared) > 0:
            shared, kept = shared & problems, kept | {arm_id}
    for ids in by_kind:  # a kind that has few of the problems is compared on those few
        able = [i for i in ids if i in reach]
        if not kept & set(able):
            nearest = max(able, key=lambda i: len(reach[i] & shared))
            shared, kept = shared & reach[nearest], kept | {nearest}
    return sorted(shared), kept


def depth(counts: Counts) -> int:
    """The largest number of draws that at least half of an arm's problems have; 0 without problems."""
    return _reached_by_half([cell.n for cell in counts.values()])


def share(first: Counts, second: Counts) -> Shared | None:
    """What the two arms are compared on: as many draws of both as at least half of their common problems have.

    Never 300 draws of one against 100 of the other. None where they have no problem in common.
    """
    both = sorted(first.keys() & second.keys())
    if not both:
        return None
    fewer = {problem: min(first[problem].n, second[problem].n) for problem in both}
    deep = _reached_by_half(list(fewer.values()))
    problems = tuple(problem for problem in both if fewer[problem] >= deep)
    return Shared(problems, deep, len(first.keys() | second.keys()) - len(problems))


def _reached_by_half(draws: Sequence[int]) -> int:
    return sorted(draws)[len(draws) // 2] if draws else 0


def baseline(arm: ArmLike, arms: Sequence[A], solved: Mapping[int, Counts], problems: Sequence[int]) -> A | None:
    """The greedy arm of the same model that matches `arm` in every setting that both have, and has all of `problems`.

    What only the other methods have (seed, noise) does not count. Of several the one with the most settings in common, then the
    first. None where there is none: a greedy arm of another prompt, dtype or backend is no baseline.
    """
    asked = set(problems)
    found = [
        other
        for other in arms
        if other.method == GREEDY.name
        and other.model_digest == arm.model_digest
        and not unlike(arm, other)
        and solved.get(other.arm_id, {}).keys() >= asked
    ]
    return max(found, key=lambda other: len(other.settings.keys() & arm.settings.keys()), default=None)


def unlike(first: ArmLike, second: ArmLike) -> list[str]:
    """The settings that both arms have and that differ, apart from what concerns only the draws of one of them."""
    both = [key for key in first.settings if key in second.settings and key not in _ONLY_OF_DRAWS]
    return [key for key in both if first.settings[key] != second.settings[key]]
