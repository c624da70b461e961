"""How far a sweep is: the whole of it in one line that fits a terminal, and in plain lines for a log."""

import re
from pathlib import Path

import pytest

from esprobe.cli.pace import Pace
from tests.conftest import Run
from tests.helpers.terminal import on_terminal

SWEEP = ["sample-temp", "-T", "0.4", "-T", "0.8", "-n", "2", "--limit", "4", "--max-new-tokens", "8"]


def pace() -> Pace:
    """Two arms of 64 × 128 rollouts, after 20 s, in which a fifth of the first was done."""
    work = Pace({"temperature 0.4": 8192, "temperature 0.8": 8192}, "rollouts", now=100.0)
    for second in range(1, 21):
        work.advance("temperature 0.4", 82, 100.0 + second)
    return work


def test_rate_and_time_left_are_those_of_the_whole_sweep() -> None:
    work = pace()
    assert work.rate == 82
    assert work.left_s(120.0) == (2 * 8192 - 1640) / 82
    assert work.left_s(130.0) == (2 * 8192 - 1640) / 82 - 10
    assert work.plain(120.0) == "temperature 0.4: 1,640 of 8,192 rollouts; of all 1,640 of 16,384, 82/s, 3 min left"
    assert work.summary(120.0) == "1,640 of 16,384 rollouts in 20 s, 82/s"


def test_the_rate_follows_an_arm_that_is_slower() -> None:
    work = pace()
    for second in range(30, 1030, 10):
        work.advance("temperature 0.8", 5, 100.0 + second)
    assert work.rate == pytest.approx(0.5)
    assert "0.5/s, 7 h 55 min left" in work.plain(1130.0)


def test_before_the_first_rollout_nothing_is_claimed() -> None:
    work = Pace({"greedy": 128}, "rollouts", 5.0)
    assert work.plain(60.0) == "greedy: 0 of 128 rollouts"
    assert work.line(80, 60.0)[1] == "  0%  0/128  greedy"


@pytest.mark.parametrize("columns", [1, 12, 20, 40, 80, 200])
def test_the_line_fits_any_width_and_drops_what_matters_least(columns: int) -> None:
    bar, text = pace().line(columns, 120.0)
    assert bar + len(text) < columns or bar == 0
    assert len(text) <= max(columns, 4)
    assert text.lstrip().startswith("10%")
    assert columns < 40 or "82/s" in text
    assert columns < 20 or "3 min left" in text
    assert columns < 80 or "temperature 0.4" in text


@pytest.mark.parametrize("columns", [80, 40])
def test_a_sweep_on_a_terminal_shows_one_line_that_never_wraps(columns: int, tmp_path: Path) -> None:
    shown = on_terminal(columns, *SWEEP, cwd=tmp_path, errors=True)
    first, *_ = lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "\n").splitlines()
    assert first == "countdown-tiny: loading the model …"
    assert any(re.fullmatch(r"20 of 20 rollouts in [\d.]+ (s|min), [\d,.]+/s", line) for line in lines)
    moving = [line for line in lines if re.search(r"\d%", line)]
    assert moving
    assert max(map(len, moving)) <= columns


def test_a_log_gets_the_rate_of_the_whole_sweep(esprobe: Run) -> None:
    done = esprobe(*SWEEP)
    assert done.returncode == 0
    *_, last = done.stderr.splitlines()
    assert re.fullmatch(r"temperature 0.8: 8 of 8 rollouts; of all 20 of 20, [\d,.]+/s", last)
    assert "\x1b" not in done.stderr


def test_runs_say_how_long_they_took_and_how_fast_they_were(esprobe: Run, swept: Path) -> None:
    shown = esprobe("--db", swept, "runs", "--format", "csv").stdout.splitlines()
    assert shown[0] == "id,started,ended,seconds,state,message,rollouts,per_second,command"
    _, _, _, seconds, _, _, rollouts, rate, _ = shown[1].split(",", 8)
    assert float(rate) == pytest.approx(int(rollouts) / float(seconds))
    assert re.search(r"1 .* (s|min) +done +156 +[\d,.]+/s", esprobe("--db", swept, "runs").stdout)
