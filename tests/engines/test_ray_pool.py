"""A pool of engines on Ray: one engine's answers, engines that die, hang or never start, and noise that they give each other."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace

import pytest

from esprobe.arms import Perturbation, Update, Weights
from esprobe.engines.backend import Generation
from esprobe.engines.local_pool import LocalPool
from esprobe.engines.models import find_model
from esprobe.engines.pool import Pool
from esprobe.errors import UserError
from tests.helpers.midway import engines_of, wait_until_gone
from tests.helpers.pieces import MODEL, PROMPTS, SPEC, Piece, ask

pytestmark = pytest.mark.usefixtures("ray")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pool's clock, in seconds, which moves only when it is set."""
    from esprobe.engines import ray_pool

    now = [0.0]
    monkeypatch.setattr(ray_pool, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def let_answer(pool: Pool) -> None:
    """Waits for all that the engines of a Ray pool are asked at this moment; the pool looks at none of it."""
    import ray

    asked = list(pool.busy)
    ray.wait(asked, num_returns=len(asked))


def generations(pool: Pool, work: list[Piece], note: Callable[[str], None]) -> Iterator[tuple[int, list[Generation]]]:
    """Which piece of work an opened pool has finished, and what it made of it."""
    return ((work.index(piece), done.generations) for piece, done in pool.run(work, ask, note))


def test_engines_live_from_run_to_run_of_a_session_and_one_that_died_is_replaced_with_its_weights() -> None:
    from esprobe.engines.ray_pool import RayPool

    others, notes = set(engines_of(os.getpid())), list[str]()
    pool, alone = RayPool(2, None, None), LocalPool()
    updates = tuple(Update((seed, seed + 1), (0.01, -0.02)) for seed in (10, 20, 30))
    members = [Perturbation("iid", seed, 0.01) for seed in (10, 11, 20, 21, 30, 31)]  # each engine has made noise of others
    runs = [[Piece([p], Weights(updates[:i], m)) for p, m in zip(PROMPTS, members, strict=False)] for i in range(4)]

    def run(pool: Pool, i: int) -> dict[int, list[Generation]]:
        return dict(generations(pool, runs[i], notes.append))

    alone.open(SPEC, print)
    expected = [run(alone, i) for i in range(4)]
    assert expected[0] != expected[1] != expected[2] != expected[3]
    pool.open(replace(SPEC, trained=True), print, 6)
    try:
        let_answer(pool)  # both are open
        assert run(pool, 0) == expected[0]
        first = set(engines_of(os.getpid())) - others
        assert run(pool, 1) == expected[1]
        assert list(pool.run([], ask, notes.append)) == []
        assert (set(engines_of(os.getpid())) - others, notes) == (first, [])
        os.kill(min(first), signal.SIGKILL)
        wait_until_gone({min(first)})
        assert run(pool, 2) == expected[2]
        assert ["its process died" in note for note in notes] == [True]
        begun = pool.run(runs[3], ask, notes.append)
        next(begun)
        begun.close()  # type: ignore[attr-defined]  # the session goes on without what was in hand
        assert run(pool, 3) == expected[3]
        if pool.busy:
            let_answer(pool)
        assert len(set(engines_of(os.getpid())) - others) == 2
    finally:
        pool.close()
    assert len(notes) == 1


@pytest.mark.parametrize("trained", [True, False])
def test_engines_of_a_training_are_given_the_noise_that_others_have_made(trained: bool) -> None:
    from esprobe.engines.ray_pool import RayPool

    work = [Piece([PROMPTS[seed]], Weights(perturbation=Perturbation("iid", seed, 0.01))) for seed in range(6)]
    pool, notes = RayPool(2, None, None), list[str]()
    pool.open(replace(SPEC, trained=trained), print, 6)
    try:
        let_answer(pool)  # both are open
        expected = dict(generations(pool, work, notes.append))
        ray = pool.cluster.ray
        made = [seed for actor in pool.spare for noise in ray.get(list(actor.news)) for seed, _, _ in noise]
        assert (set(made) <= set(range(6)), bool(made)) == (True, trained)  # what was made last waits for the next run
        for actor in pool.spare:
            actor.news.append(ray.remote(num_cpus=0)(lambda: 1 / 0).remote())  # what is lost is made again
        assert dict(generations(pool, work, notes.append)) == expected
    finally:
        pool.close()
    assert not notes


def test_what_comes_after_the_last_piece_is_done_while_engines_are_at_it() -> None:
    from esprobe.engines.ray_pool import RayPool

    pool, at_work = RayPool(1, None, None), list[int]()

    def work() -> Iterator[Piece]:
        yield from (Piece([prompt]) for prompt in PROMPTS[:3])
        at_work.append(len(pool.busy))

    pool.open(SPEC, print)
    try:
        assert len(list(pool.run(work(), ask, print))) == 3
    finally:
        pool.close()
    assert at_work == [1]


def test_work_that_always_brings_its_engine_down_is_given_up_after_the_rest_was_done() -> None:
    from esprobe.engines.ray_pool import RayPool

    good, bad = Piece(PROMPTS), Piece([[-1]])  # no such token
    for pool in (LocalPool(), RayPool(1, None, None)):
        notes: list[str] = []
        pool.open(SPEC, print, 2)
        try:
            finished = pool.run([good, bad], ask, notes.append)
            assert next(finished)[0] is good
            # nothing will have changed the next time, so no user is told to try again
            with pytest.raises(UserError, match=r"rollouts 3 times .index out of range.*same command would fail again"):
                next(finished)
        finally:
            pool.close()
        assert ["index out of range" in note for note in notes] == [True, True]


def test_an_engine_whose_model_is_another_one_is_refused(tmp_path: Path) -> None:
    from esprobe.engines.ray_pool import Remote

    shutil.copytree(MODEL.folder, tmp_path / "m")
    spec = replace(SPEC, model=find_model(str(tmp_path / "m")))
    (tmp_path / "m/config.json").write_text(json.dumps(MODEL.config | {"rms_norm_eps": 0.1}))  # changed where the engine runs
    with pytest.raises(UserError, match="has other files on"):
        Remote().open(spec, os.environ.get("OMP_NUM_THREADS", "1"), 1)


def test_an_engine_that_hangs_is_replaced_and_its_work_done_again(clock: list[float]) -> None:
    from esprobe.engines.ray_pool import RayPool

    others = engines_of(os.getpid())
    work, notes = [Piece([prompt]) for prompt in PROMPTS[:4]], list[str]()
    pool, alone = RayPool(1, None, 100.0), LocalPool()
    try:
        pool.open(SPEC, print)
        finished = generations(pool, work, notes.append)
        answers = [next(finished)]
        let_answer(pool)
        engine = next(pid for pid in engines_of(os.getpid()) if pid not in others)
        os.kill(engine, signal.SIGSTOP)
        answers.append(next(finished))  # the answer is taken; the engine is asked for the third and will never give it
        clock[0] = 101.0
        answers += finished
    finally:
        pool.close()
    alone.open(SPEC, print)
    assert sorted(answers, key=itemgetter(0)) == list(generations(alone, work, notes.append))
    assert ["no answer in 101 s" in line and "was replaced" in line for line in notes] == [True]


def test_answers_that_nobody_looked_for_in_time_are_still_taken(clock: list[float]) -> None:
    from esprobe.engines.ray_pool import RayPool

    notes: list[str] = []
    pool = RayPool(2, None, 100.0)
    try:
        pool.open(SPEC, print, 3)
        finished = generations(pool, [Piece([prompt]) for prompt in PROMPTS[:3]], notes.append)
        next(finished)
        let_answer(pool)
        clock[0] = 1000.0
        assert len(list(finished)) == 2
    finally:
        pool.close()
    assert not notes


def test_a_note_of_a_dead_engine_says_what_is_known_of_its_death() -> None:
    from esprobe.engines.ray_pool import RayPool

    others = engines_of(os.getpid())
    work, notes = [Piece([prompt]) for prompt in PROMPTS[:5]], list[str]()
    pool = RayPool(1, None, None)
    try:
        pool.open(SPEC, print)
        finished = generations(pool, work, notes.append)
        answered = [next(finished)[0]]
        for sign in (signal.SIGKILL, signal.SIGTERM):
            let_answer(pool)
            [engine] = [pid for pid in engines_of(os.getpid()) if pid not in others]
            os.kill(engine, sign)
            wait_until_gone({engine})
            answered += [next(finished)[0], next(finished)[0]]  # the answer is taken; the next piece finds no engine
    finally:
        pool.close()
    assert sorted(answered) == [0, 1, 2, 3, 4]
    known = [
        "(its process died: killed, perhaps for lack of memory, or crashed)",
        "The process receives a SIGTERM) and was replaced",
    ]
    assert [cause in note for note, cause in zip(notes, known, strict=True)] == [True, True], notes


def test_an_engine_that_ray_ends_for_want_of_memory_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    from esprobe.engines.ray_pool import RayPool

    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")  # of this machine's memory: any engine is over it
    pool = RayPool(1, None, None)
    try:
        with pytest.raises(UserError, match=r"could not be started 3 times \(its process died: out of memory\)"):
            pool.open(SPEC, print)
    finally:
        pool.close()
