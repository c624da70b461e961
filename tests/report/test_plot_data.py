"""The data that plots draw equal SQL and the comparison's figures, and each arm is counted as deep as the others."""

import pytest

from esprobe.analysis import reading
from esprobe.analysis.arms import AtK, Filter, estimate
from esprobe.analysis.comparison import compare
from esprobe.report.plots.data import band, count_bins, count_shares, coverage_and_depth
from esprobe.stats.intervals import SharedDraws
from tests.helpers.contents import rows
from tests.helpers.wired import plotted
from tests.report.conftest import Database


@pytest.mark.parametrize("case", ["twelve", "uneven", "one-problem", "all-zero"])
def test_the_data_of_the_plots_equal_sql(database: Database, case: str) -> None:
    db = database(case)
    (data,) = plotted(db)
    for arm in data.arms:
        cells = data.found.tried[arm.arm_id]
        sql = "SELECT avg(c > 0), coalesce(avg(CASE WHEN c > 0 THEN 1.0 * c / n END), 0) FROM solved WHERE arm_id = ?"
        covered, depth = rows(db, sql, arm.arm_id)[0]
        assert coverage_and_depth(cells) == pytest.approx((covered, depth))
        bins = count_bins(arm.draws)
        assert [low for low, _ in bins] == [0, *(high + 1 for _, high in bins[:-1])]
        assert bins[-1] == (arm.draws, arm.draws)
        for (low, high), share in zip(bins, count_shares(cells, bins), strict=True):
            sql = "SELECT avg(c BETWEEN ? AND ?) FROM solved WHERE arm_id = ?"
            assert share == pytest.approx(rows(db, sql, low, high, arm.arm_id)[0][0])
        sql = "SELECT k, problems, pass_at_k, stderr, chance FROM pass_at_k WHERE arm_id = ? AND k <= ? ORDER BY k"
        curve = rows(db, sql, arm.arm_id, min(cell.n for cell in cells))
        assert [point.k for point in data.curve(arm)] == [row[0] for row in curve]
        for k, *row in curve:
            for found in (estimate(cells, int(str(k))), data.point(arm, int(str(k)))):
                assert found is not None
                assert [found.problems, found.pass_at_k, found.stderr, found.chance] == pytest.approx(row, abs=1e-12)
        if arm.method == "perturbation":
            sql = "SELECT avg(correct) FROM score WHERE arm_id = ? GROUP BY draw ORDER BY draw"
            assert data.accuracies[arm.arm_id] == pytest.approx([share for (share,) in rows(db, sql, arm.arm_id)])
            sql = (
                "SELECT avg(g.correct) FROM score AS g JOIN arm ON arm.id = g.arm_id AND method = 'greedy' "
                "WHERE problem_id IN (SELECT problem_id FROM score WHERE arm_id = ?)"
            )
            assert data.found.greedy_share(arm) == pytest.approx(rows(db, sql, arm.arm_id)[0][0])


@pytest.mark.parametrize("case", ["two", "twelve", "uneven", "one-draw"])
def test_overlap_counts_equally_many_draws_of_both_best_arms(database: Database, case: str) -> None:
    db = database(case)
    (data,) = plotted(db)
    best = data.best
    assert best is not None
    assert [arm.method for arm in best.arms] == ["temperature", "perturbation"]
    (compared,) = compare(reading.open_database(db), Filter())  # one rule names the same arms everywhere
    assert [arm.arm_id for arm in best.arms] == [compared.first.arm_id, compared.second.arm_id]
    assert (best.depth, len(best.correct)) == (compared.depth, compared.problems)
    sql = (
        "SELECT a.c > 0, b.c > 0, count(*) FROM "
        "(SELECT problem_id, sum(correct) AS c FROM score WHERE arm_id = ?2 AND draw < ?1 GROUP BY problem_id) AS a "
        "JOIN (SELECT problem_id, sum(correct) AS c FROM score WHERE arm_id = ?3 AND draw < ?1 GROUP BY problem_id) AS b "
        "USING (problem_id) GROUP BY 1, 2"
    )
    counted = {row[:2]: row[2] for row in rows(db, sql, best.depth, *(arm.arm_id for arm in best.arms))}
    found = best.overlap()
    assert found is not None
    assert (found.both, found.only_first, found.only_second, found.neither) == tuple(
        counted.get(key, 0) for key in [(1, 1), (1, 0), (0, 1), (0, 0)]
    )
    assert (found.both, found.only_first) == (compared.overlap.both, compared.overlap.only_first)


def test_curves_of_the_best_arms_are_on_shared_problems_at_equal_draws(database: Database) -> None:
    (data,) = plotted(database("uneven"))
    assert data.best is not None
    (compared,) = compare(reading.open_database(database("uneven")), Filter())
    for arm, side in zip(data.best.arms, ("first", "second"), strict=True):
        for point, step in zip(data.shared_curve(arm, data.best), compared.steps, strict=True):
            assert (point.k, point.problems) == (step.difference.k, compared.problems)
            assert point.pass_at_k == pytest.approx(getattr(step.difference, side), abs=1e-12)


def test_a_band_is_drawn_only_where_the_interval_is_trustworthy() -> None:
    assert band(AtK(1, 50, 0.4, 0.05, None).interval) is not None
    assert band(AtK(1, 50, 0.4, 0.05, None, SharedDraws(1, 4, 1e-4, 2e-4, 4.0)).interval) is None  # of four models
    assert band(AtK(1, 50, 0.4, 0.05, None, SharedDraws(1, 1, 0.0, 0.0, 1.0)).interval) is None


def test_plots_that_count_draws_take_equally_many_of_each_arm(database: Database) -> None:
    db = database("uneven")
    (data,) = plotted(db)
    for arm_id, cells in data.equal.items():
        assert {cell.n for cell in cells} == {data.k}
        sql = "SELECT problem_id, sum(correct) FROM score WHERE arm_id = ? AND draw < ? GROUP BY problem_id ORDER BY problem_id"
        assert [(cell.problem_id, cell.c) for cell in cells] == rows(db, sql, arm_id, data.k)
    assert len(data.equal) > 3
