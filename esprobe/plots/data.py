"""What the plots show: the arms of one model with their counts, the best arms, overlap, coverage, accuracy of each draw.

Knows the views and the report's arms. Draws nothing and loads no drawing library.
"""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from esprobe import report
from esprobe.output import shown
from esprobe.reading import query
from esprobe.report import ArmRow, AtK, Filter, load_arms, told_apart


@dataclass(frozen=True)
class Cell:
    """One problem of an arm: `c` of its `n` draws are correct."""

    problem_id: int
    n: int
    c: int
    solvable: bool
    chance: float | None


@dataclass(frozen=True)
class Best:
    """The arms with the highest pass@k of their methods, and how many of the first k draws are correct, by problem.

    k: as many draws as both methods have in some arm. Only problems on which every best arm has these draws.
    """

    k: int
    arms: tuple[ArmRow, ...]
    counts: Mapping[int, tuple[int, ...]]  # problem id → correct draws of each arm
    impossible: frozenset[int]  # problems proven to have no solution


@dataclass(frozen=True)
class Overlap:
    """How many problems both arms solved, only one did, or neither; `impossible` of the latter cannot be solved."""

    both: int
    first: int
    second: int
    neither: int
    impossible: int


@dataclass(frozen=True)
class Group:
    """Everything that the plots of one model show. `labels`: what to call each arm; `draws`: accuracy of perturbed models."""

    model: str
    slug: str
    scorer: str
    arms: tuple[ArmRow, ...]
    labels: Mapping[int, str]
    cells: Mapping[int, tuple[Cell, ...]]
    draws: Mapping[int, tuple[float, ...]]
    best: Best | None

    def of(self, *methods: str, least: int = 1) -> tuple[ArmRow, ...]:
        """The arms of these methods with at least so many draws of every problem."""
        return tuple(arm for arm in self.arms if arm.method in methods and self.depth(arm) >= least)

    def depth(self, arm: ArmRow) -> int:
        """How many draws every problem of the arm has."""
        return min(cell.n for cell in self.cells[arm.arm_id])

    def base(self, arm: ArmRow) -> float | None:
        """What greedy decoding of the unchanged model, otherwise set like the arm, solves of its problems; None if not known."""
        asked = {cell.problem_id for cell in self.cells[arm.arm_id]}
        for greedy in self.of("greedy"):
            right = {cell.problem_id: cell.c / cell.n for cell in self.cells[greedy.arm_id]}
            if greedy.settings.items() <= arm.settings.items() and asked <= right.keys():
                return sum(right[problem] for problem in asked) / len(asked)
        return None

    def point(self, arm: ArmRow, k: int) -> AtK | None:
        """pass@k over all problems of the arm; None where some problem has fewer draws."""
        found = arm.at.get(k)
        if found is None or found.problems < arm.problems:
            found = estimate(self.cells[arm.arm_id], k) if k <= self.depth(arm) else None
        return found

    def curve(self, arm: ArmRow) -> list[AtK]:
        """pass@k at k = 1, 2, 4, … and the arm's depth, always over all of its problems."""
        deepest = self.depth(arm)
        ks = sorted({k for k in arm.at if k <= deepest} | {deepest})
        return [point for k in ks if (point := self.point(arm, k))]


def load_groups(connection: sqlite3.Connection, chosen: Filter) -> list[Group]:
    """One group for each model that the filter lets through. Raises UserError if no arm passes."""
    arms = load_arms(connection, chosen)
    settings = told_apart(arms)
    _, rows = query(
        connection,
        "SELECT arm_id, problem_id, n, c, coalesce(solvable, 1), chance FROM solved JOIN problem ON problem.id = problem_id "
        "WHERE scorer = ? ORDER BY arm_id, problem_id",
        [chosen.scorer],
    )
    cells: dict[int, list[Cell]] = {}
    for arm_id, problem_id, n, c, solvable, chance in rows:
        cells.setdefault(arm_id, []).append(Cell(problem_id, n, c, bool(solvable), chance))
    _, models = query(connection, "SELECT arm.id, model.digest FROM arm JOIN model ON model.id = model_id")
    digests = dict(models)
    by_model: dict[str, list[ArmRow]] = {}
    for arm in arms:
        by_model.setdefault(digests[arm.arm_id], []).append(arm)
    slugs = _slugs({digest: found[0].model for digest, found in by_model.items()})
    groups = []
    for digest, found in by_model.items():
        own = {arm.arm_id: tuple(cells[arm.arm_id]) for arm in found}
        groups.append(
            Group(
                model=shown(found[0].model),
                slug=slugs[digest],
                scorer=shown(chosen.scorer),
                arms=tuple(found),
                labels={arm.arm_id: shown(arm_label(arm, settings.get(arm.arm_id, ""))) for arm in found},
                cells=own,
                draws={a.arm_id: draw_accuracy(connection, chosen.scorer, a) for a in found if a.method == "perturbation"},
                best=_best(connection, chosen.scorer, found, own),
            )
        )
    return groups


def _slugs(names: Mapping[str, str]) -> dict[str, str]:
    """Model digest → the beginning of its file names: the model's name, and some of the digest where two are alike."""
    plain = {digest: re.sub(r"[^A-Za-z0-9.]+", "-", name)[-60:].strip("-.") or "model" for digest, name in names.items()}
    alike = {slug for slug in plain.values() if sum(slug.lower() == other.lower() for other in plain.values()) > 1}
    return {d: f"{slug}-{sha256(d.encode()).hexdigest()[:6]}" if slug in alike else slug for d, slug in plain.items()}


def arm_label(arm: ArmRow, settings: str = "") -> str:
    """For legends: `T 0.4`, `σ 0.01`, `greedy`, and the settings that tell it apart from one alike."""
    name = arm.method if arm.value is None else f"{'σ' if arm.method == 'perturbation' else 'T'} {arm.value:g}"
    if arm.method == "imported" and arm.value is not None:
        name = f"imported {arm.value:g}"
    return f"{name} ({settings})" if settings else name


def estimate(cells: Sequence[Cell], k: int) -> AtK:
    """The pass@k at a k that every problem has draws for."""
    return report.estimate([(cell.n, cell.c, cell.chance) for cell in cells], k)


def coverage_and_depth(cells: Sequence[Cell]) -> tuple[float, float]:
    """The share of problems with a correct draw, and the mean share of correct draws on those problems (0 without any)."""
    rates = [cell.c / cell.n for cell in cells if cell.c]
    return len(rates) / len(cells), sum(rates) / len(rates) if rates else 0.0


def count_bins(most: int) -> list[tuple[int, int]]:
    """Ranges of correct counts: 0, 1, 2–3, 4–7, … and, apart, all `most`; for few draws each count by itself."""
    if most <= 6:
        return [(c, c) for c in range(most + 1)]
    bins, low = [(0, 0)], 1
    while low < most:
        bins.append((low, min(2 * low - 1, most - 1)))
        low *= 2
    return [*bins, (most, most)]


def count_shares(cells: Sequence[Cell], bins: Sequence[tuple[int, int]]) -> list[float]:
    """The share of problems whose correct count falls into each range."""
    return [sum(low <= cell.c <= high for cell in cells) / len(cells) for low, high in bins]


def draw_accuracy(connection: sqlite3.Connection, scorer: str, arm: ArmRow) -> tuple[float, ...]:
    """The share of problems that each draw solves, of those draws that met all problems of the arm; in order of draws."""
    _, rows = query(
        connection,
        "SELECT accuracy FROM draw_accuracy WHERE scorer = ? AND arm_id = ? AND problems = ? ORDER BY draw",
        [scorer, arm.arm_id, arm.problems],
    )
    return tuple(share for (share,) in rows)


def overlap(best: Best) -> Overlap | None:
    """Which problems the two best arms solved with k draws each; None where there is but one."""
    if len(best.arms) < 2:
        return None
    solved = [(first > 0, second > 0) for first, second in best.counts.values()]
    return Overlap(
        both=solved.count((True, True)),
        first=solved.count((True, False)),
        second=solved.count((False, True)),
        neither=solved.count((False, False)),
        impossible=sum(not any(best.counts[problem]) for problem in best.impossible & set(best.counts)),
    )


def _best(
    connection: sqlite3.Connection, scorer: str, arms: Sequence[ArmRow], cells: Mapping[int, tuple[Cell, ...]]
) -> Best | None:
    depth = {arm.arm_id: min(cell.n for cell in cells[arm.arm_id]) for arm in arms}
    methods = [[arm for arm in arms if arm.method == method] for method in ("temperature", "perturbation")]
    methods = [found for found in methods if found]
    if not methods:
        return None
    k = min(max(depth[arm.arm_id] for arm in found) for found in methods)
    chosen = []
    for found in methods:
        able = [arm for arm in found if depth[arm.arm_id] >= k]
        chosen.append(max(able, key=lambda arm: [estimate(cells[arm.arm_id], i).pass_at_k for i in (k, 1)]))
    counts: list[dict[int, int]] = []
    for arm in chosen:
        _, rows = query(
            connection,
            "SELECT problem_id, sum(correct) FROM score WHERE scorer = ? AND arm_id = ? AND draw < ? "
            "GROUP BY problem_id HAVING count(*) = ?",
            [scorer, arm.arm_id, k, k],
        )
        counts.append(dict(rows))
    shared = [problem for problem in counts[0] if all(problem in other for other in counts)]
    if not shared:
        return None
    return Best(
        k=k,
        arms=tuple(chosen),
        counts={problem: tuple(found[problem] for found in counts) for problem in shared},
        impossible=frozenset(cell.problem_id for arm in chosen for cell in cells[arm.arm_id] if not cell.solvable),
    )
