"""The simulation of the scheduler gives what can be worked out by hand."""

import pytest

from esprobe.pipeline.sample import WAITING
from tests.benchmarks.scale import LLAMA_70B, QWEN_7B
from tests.benchmarks.scheduler import Piece, closed_form, simulate


def units(count: int, seconds: float = 2.0) -> list[Piece]:
    return [Piece(i, seconds) for i in range(count)]


def test_one_engine_does_everything_one_after_the_other() -> None:
    assert simulate(units(10), [5.0], write_s=0.5) == pytest.approx(5 + 10 * 2 + 0.5)  # the last write is seen, the others hidden


def test_units_that_divide_evenly_are_split_perfectly() -> None:
    work = units(40)
    assert simulate(work, [3.0] * 8, write_s=0.0) == pytest.approx(3 + 40 / 8 * 2) == closed_form(work, 8, 3, 0, 0, 0)


def test_a_rest_costs_a_whole_round() -> None:
    assert simulate(units(9), [0.0] * 4, write_s=0.0) == pytest.approx(3 * 2)


def test_a_slow_writer_is_the_limit_and_makes_the_engines_wait() -> None:
    assert simulate(units(50), [1.0] * 8, write_s=1.0) == pytest.approx(
        1 + 2 + 50
    )  # the first answer, then the writer never rests


def test_a_full_queue_makes_the_driver_wait() -> None:
    # Ten answers at 1: one is written, WAITING more fit, and the driver takes the others as the writer goes on.
    assert simulate([Piece(i, 1.0) for i in range(10)] + [Piece(10, 1.0)], [0.0] * 10, write_s=100.0) == pytest.approx(1 + 1100)
    late = [Piece(i, 1.0) for i in range(WAITING + 2)] + [Piece("last", 5000.0)]
    # The engine of the last unit is started by the first answer, before anything waits.
    assert simulate(late, [0.0] * (WAITING + 2), write_s=100.0) == pytest.approx(1 + 5000 + 100)


def test_the_driver_is_the_limit_when_handing_out_takes_longest() -> None:
    assert simulate(units(100, 0.1), [0.0] * 50, write_s=0.0, hand_s=1.0) == pytest.approx(100, rel=0.01)


def test_engines_without_work_change_nothing() -> None:
    assert simulate(units(3), [1.0] * 64, write_s=0.0) == simulate(units(3), [1.0] * 3, write_s=0.0) == pytest.approx(3)


def test_an_engine_that_starts_late_takes_less() -> None:
    assert simulate(units(6), [0.0, 3.9], write_s=0.0) == pytest.approx(8)  # four units and two


def test_noise_is_paid_when_the_weights_change() -> None:
    same = [Piece("base", 1.0) for _ in range(4)]
    assert simulate(same, [0.0], write_s=0.0, noise_s=10.0) == pytest.approx(14)
    assert simulate(units(4, 1.0), [0.0], write_s=0.0, noise_s=10.0) == pytest.approx(44)


def test_no_work_takes_no_time() -> None:
    assert simulate([], [1.0], write_s=1.0) == 0


def test_a_base_that_does_not_fit_beside_the_engine_is_in_host_memory() -> None:
    assert QWEN_7B.base_on_gpu
    assert not LLAMA_70B.base_on_gpu
