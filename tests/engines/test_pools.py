"""Engines fail in many ways; what was finished stays, what was in hand is done again, and the rollouts are a quiet run's."""

import itertools
import json
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace

import pytest

from esprobe.arms import BASE, Perturbation, Update, Weights
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Decoding, Generation
from esprobe.engines.engine import Batch, EngineSpec
from esprobe.engines.local_pool import LocalPool
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.engines.pool import Pool
from esprobe.engines.todo import Todo
from esprobe.errors import UserError
from esprobe.pipeline import process
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.prompts import prompt_text
from tests.conftest import ESPROBE, HANGS_S, Run, run_esprobe
from tests.helpers.midway import caught, count, descendants, engines_of
from tests.helpers.rollouts import Rollouts, rollouts

MODEL = find_model(BUNDLED)
TOKENIZER = load_tokenizer(MODEL)
TASK = Countdown()
PROMPTS = [
    TOKENIZER(prompt_text(TASK, p.payload, "chat", TOKENIZER), add_special_tokens=False).input_ids for p in TASK.bundled()[:16]
]
SPEC = EngineSpec("transformers", MODEL, "float32", tuple(MODEL.end_ids(TOKENIZER)))
SWEEP = ["sample-perturb", "--sigma", "0.01", "-n", "24", "--limit", "20", "--batch-size", "8"]


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Rollouts:
    """What one engine gives that nothing disturbs."""
    folder = tmp_path_factory.mktemp("quiet")
    assert run_esprobe(*SWEEP, cwd=folder).returncode == 0
    return rollouts(folder / "esprobe.db")


@pytest.fixture(scope="session", autouse=True)
def _ray() -> None:
    if find_spec("ray") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("ray is not installed")
        pytest.skip("needs ray: pip install esprobe[ray]")


@contextmanager
def in_mid_sweep(folder: Path, after: int = 80) -> Iterator["subprocess.Popen[str]"]:
    """The sweep on two engines; inside the block some of its rollouts are there, and no more come."""
    started = subprocess.Popen([str(ESPROBE), *SWEEP, "--engines", "2"], cwd=folder, stderr=subprocess.PIPE, text=True)
    with caught(started, folder / "esprobe.db", after):
        yield started


def an_engine_of(started: "subprocess.Popen[str]") -> int:
    return engines_of(started.pid)[0]


def wait_until_gone(pids: set[int]) -> None:
    limit = time.monotonic() + HANGS_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def messages(db: Path) -> str:
    with closing(sqlite3.connect(db)) as connection:
        return "\n".join(message or "" for (message,) in connection.execute("select message from run"))


@pytest.mark.parametrize("method", ["temperature", "perturbation"])
def test_two_engines_give_what_one_gives(esprobe: Run, tmp_path: Path, quiet: Rollouts, method: str) -> None:
    args = SWEEP if method == "perturbation" else ["sample-temp", "-T", "0.7", "-n", "8", "--limit", "20", "--batch-size", "32"]
    two = esprobe(*args, "--engines", "2", "--db", "two.db")
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("\n") == 1  # Ray adds nothing
    if method == "temperature":
        assert esprobe(*args, "--db", "one.db").returncode == 0
    assert rollouts(tmp_path / "two.db") == (quiet if method == "perturbation" else rollouts(tmp_path / "one.db"))


def test_an_engine_that_dies_is_replaced_and_nothing_is_lost(tmp_path: Path, quiet: Rollouts) -> None:
    with in_mid_sweep(tmp_path) as started:
        os.kill(an_engine_of(started), signal.SIGKILL)
    _, stderr = started.communicate(timeout=HANGS_S)
    assert started.returncode == 0, stderr
    assert rollouts(tmp_path / "esprobe.db") == quiet
    assert "an engine failed (its process died" in messages(tmp_path / "esprobe.db")
    assert "was replaced" in stderr


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "kill", "kill-9"])
def test_a_stopped_sweep_on_two_engines_leaves_no_process_and_continues(
    esprobe: Run, tmp_path: Path, quiet: Rollouts, sign: signal.Signals
) -> None:
    with in_mid_sweep(tmp_path) as started:
        left = set(descendants(started.pid))
        started.send_signal(sign)
    _, stderr = started.communicate(timeout=HANGS_S)
    assert started.returncode == (-9 if sign == signal.SIGKILL else 130)
    if sign != signal.SIGKILL:
        assert stderr.splitlines()[-1].startswith("error: interrupted; what was finished is kept")
    kept = rollouts(tmp_path / "esprobe.db")
    assert esprobe(*SWEEP).returncode == 0  # one engine goes on where two were stopped
    assert rollouts(tmp_path / "esprobe.db") == quiet
    assert kept.items() <= quiet.items()
    wait_until_gone(left)


def test_rays_own_death_is_one_clear_line_and_the_command_continues(esprobe: Run, tmp_path: Path, quiet: Rollouts) -> None:
    with in_mid_sweep(tmp_path) as started:
        for pid, name in descendants(started.pid).items():
            if "raylet/raylet" in name or name.startswith("ray::Remote"):
                os.kill(pid, signal.SIGKILL)
    _, stderr = started.communicate(timeout=HANGS_S)
    assert started.returncode == 1
    assert stderr.splitlines()[-1].startswith("error: Ray's own processes have died; what was finished is kept")
    assert esprobe(*SWEEP).returncode == 0
    assert rollouts(tmp_path / "esprobe.db") == quiet


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster with two cores."""
    ray = Path(sys.executable).with_name("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(ray), "start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--block"]
    head = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    assert head.stdout
    for line in head.stdout:
        if "Ray runtime started" in line:
            break
    yield f"127.0.0.1:{port}"
    head.terminate()
    head.wait(timeout=HANGS_S)


def test_engines_run_on_a_cluster_that_is_there(esprobe: Run, tmp_path: Path, quiet: Rollouts, cluster: str) -> None:
    done = esprobe(*SWEEP, "--engines", "2", "--ray-address", cluster)
    assert done.returncode == 0, done.stderr
    assert rollouts(tmp_path / "esprobe.db") == quiet
    args = ["sample-temp", "-n", "70", "--limit", "8", "--batch-size", "8", "--engines", "64", "--ray-address", cluster]
    many = esprobe(*args, env={"ESPROBE_OVERSUBSCRIBE": ""})
    assert many.returncode == 1
    assert many.stderr.splitlines()[-1].startswith("error: 64 engines need a CPU each, and there are 2; lower --engines")


def test_more_engines_than_cores_are_refused_unless_asked_for(esprobe: Run, tmp_path: Path) -> None:
    args = ["sample-temp", "-n", "1", "--limit", "2", "--max-new-tokens", "2", "--engines", "100"]
    refused = esprobe(*args, env={"ESPROBE_OVERSUBSCRIBE": ""})
    assert refused.returncode == 1
    assert re.fullmatch(
        r"error: 100 engines need a [CG]PU each, and there are \d+; lower --engines, or set ESPROBE_OVERSUBSCRIBE=1 .*",
        refused.stderr.splitlines()[-1],
    )
    assert not (tmp_path / "esprobe.db").exists()
    assert esprobe(*args[:-1], "3", env={"ESPROBE_OVERSUBSCRIBE": "1"}).returncode == 0


INTRUDER = """
import os, sys
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of-another-user"}
import ray
ray.init(address=sys.argv[1], log_to_driver=False)
"""


def test_our_own_cluster_lets_in_nobody_without_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    from esprobe.engines.ray_pool import RayPool

    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    pool, said = RayPool(1, None, None), []
    try:
        pool.open(SPEC, said.append, 1)
        address = pool.cluster.ray.get_runtime_context().gcs_address
        refused = subprocess.run([sys.executable, "-c", INTRUDER, address], capture_output=True, text=True, timeout=HANGS_S)
    finally:
        pool.close()
    assert refused.returncode != 0
    assert "InvalidAuthToken" in refused.stderr or "uthenticat" in refused.stderr
    assert "it admits only clients with this sweep's token" in said[0]
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(UserError, match="RAY_AUTH_MODE is 'disabled'"):
        RayPool(2, None, None)


def test_a_cluster_that_is_not_there_is_one_clear_line(esprobe: Run) -> None:
    done = esprobe(*SWEEP, "--ray-address", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: Ray cannot be reached or started at 127.0.0.1:1")


@dataclass(frozen=True)
class Piece:
    """Work that needs no database."""

    prompts: list[list[int]]
    weights: Weights = BASE


def ask(piece: Piece) -> Batch:
    return Batch(piece.weights, piece.prompts, Decoding(8))


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


def test_an_engine_that_spans_several_gpus_is_refused_where_it_cannot_be(esprobe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from esprobe.engines.ray_cluster import OVERSUBSCRIBE, share

    args = ["sample-temp", "-n", "1", "--limit", "2", "--max-new-tokens", "2", "--tensor-parallel", "2"]
    one = esprobe(*args, "--backend", "transformers")
    assert one.returncode == 1
    assert one.stderr.splitlines()[-1].startswith(
        "error: --tensor-parallel 2 needs --backend vllm: the transformers backend runs on one GPU"
    )
    monkeypatch.setenv(OVERSUBSCRIBE, "1")
    assert share(3, 2, cpus=64, gpus=6) == (1, 2)
    assert share(12, 1, cpus=64, gpus=6) == (1, 0.5)
    assert (share(1, 2, cpus=2, gpus=0), share(4, 2, cpus=2, gpus=0)) == ((2, 0), (0.5, 0))
    with pytest.raises(UserError, match=r"4 engines need 2 GPUs each, and there are 6; lower --engines or --tensor-parallel$"):
        share(4, 2, cpus=64, gpus=6)
    monkeypatch.setenv(OVERSUBSCRIBE, "0")
    with pytest.raises(UserError, match=r"2 engines need 2 CPUs each, and there are 2; .*, or set ESPROBE_OVERSUBSCRIBE=1"):
        share(2, 2, cpus=2, gpus=0)


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


def test_an_engine_stays_with_its_weights_while_there_is_work_for_them() -> None:
    draws = [Weights(perturbation=Perturbation("iid", seed, 0.01)) for seed in range(3)]
    work = [Piece([[i]], draw) for draw in draws for i in range(3)]
    todo = Todo(work)
    first, second = todo.take(None), todo.take(None)
    assert (first, second) == (work[0], work[3])
    assert [todo.take(first) for _ in range(3)] == [work[1], work[2], work[6]]
    assert todo.take(second) == work[4]
    todo.give_back(work[1])
    assert [todo.take(work[6]) for _ in range(4)] == [work[7], work[8], work[1], work[5]]
    assert todo.take(first) is None
    assert not todo


@pytest.mark.parametrize("perturbed", [True, False])
def test_work_is_read_no_further_than_the_engines_need(perturbed: bool) -> None:
    read = []

    def endless() -> Iterator[Piece]:
        for draw in itertools.count():
            for i in range(3):
                read.append(Piece([[draw, i]], Weights(perturbation=Perturbation("iid", draw, 0.01)) if perturbed else BASE))
                yield read[-1]

    todo = Todo(endless())
    engines: list[Piece | None] = [None] * 4
    for _ in range(25):
        engines = [todo.take(last) for last in engines]
    assert len(read) <= 100 + 4 * 3 + 1
    assert len(todo.kept) <= 4
    assert todo


MEMORY = """
import resource, sys
from esprobe.engines.engine import Engine
from tests.engines.test_pools import *
engine, batch = Engine(SPEC), Batch(BASE, PROMPTS * 128, Decoding(24))
free = engine.run(Batch(BASE, PROMPTS, Decoding(24))).generations * 128
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 150 * 2**20, resource.RLIM_INFINITY))
done = engine.run(batch)
assert not {*done.notes} & {*engine.run(batch).notes}  # what did not fit is not tried again
assert done.generations == free
print(*done.notes, sep="\\n")
"""


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_says_so() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "out of memory at 2048 rollouts together: from now on 1024"


def test_a_sweep_short_of_memory_finishes_and_its_run_says_so(tmp_path: Path, esprobe: Run) -> None:
    args = ["sample-temp", "-T", "0.7", "-n", "64", "--limit", "64", "--max-new-tokens", "24", "--no-greedy"]
    short = subprocess.run(
        [str(ESPROBE), *args, "--batch-size", "4096", "--db", "short.db"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (1200 << 20, resource.RLIM_INFINITY)),
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )
    assert short.returncode == 0, short.stderr
    assert "out of memory at 4096 rollouts together: from now on 2048" in messages(tmp_path / "short.db")
    assert "out of memory at 4096 rollouts together" in short.stderr
    assert esprobe(*args).returncode == 0
    assert rollouts(tmp_path / "short.db") == rollouts(tmp_path / "esprobe.db")


def test_noise_that_overflows_float16_gives_rollouts_that_say_so(esprobe: Run, tmp_path: Path) -> None:
    args = ["--sigma", "900", "-n", "3", "--limit", "4", "--no-greedy", "--dtype", "float16", "--max-new-tokens", "8"]
    assert esprobe("sample-perturb", *args).stdout.startswith("12 of 12")
    assert {finish for _, _, finish in rollouts(tmp_path / "esprobe.db").values()} == {"nan"}
    assert esprobe("sample-perturb", *args).stdout.startswith("0 of 12")
    assert esprobe("report").returncode == 0


def with_context(folder: Path, length: int) -> Path:
    shutil.copytree(MODEL.folder, folder)
    config = folder / "config.json"
    config.write_text(
        config.read_text().replace(f'"max_position_embeddings": {MODEL.context_length()}', f'"max_position_embeddings": {length}')
    )
    assert find_model(str(folder)).context_length() == length
    return folder


def test_a_context_that_overflows_cuts_the_rollout_and_a_prompt_that_does_not_fit_is_refused_first(
    esprobe: Run, tmp_path: Path
) -> None:
    args = ["sample-temp", "-T", "0.5", "-n", "1", "--limit", "8"]
    assert esprobe(*args, "--model", with_context(tmp_path / "short", 32)).returncode == 0
    assert {finish for _, _, finish in rollouts(tmp_path / "esprobe.db").values()} == {"length"}
    refused = esprobe(*args, "--model", with_context(tmp_path / "tiny", 20), "--db", "refused.db")
    assert refused.returncode == 1
    assert "tokens, but model" in refused.stderr.splitlines()[-1]
    assert count(tmp_path / "refused.db") == 0


def test_a_process_knows_whether_another_is_gone() -> None:
    me = process.identity()
    assert not process.is_gone(me)
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    assert process.is_gone(me | {"pid": ended.pid})
    assert process.is_gone(me | {"boot": "another"})
    assert process.is_gone(me | {"started": 1})
    assert not process.is_gone(me | {"node": "another", "boot": "another"})
    assert not process.is_gone(me | {"numbers": "another", "pid": ended.pid})
    assert not process.is_gone(me | {"pid": 1 << 40})
    unnoticed = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, unnoticed.pid, os.WEXITED | os.WNOWAIT)
    assert process.is_gone(me | {"pid": unnoticed.pid})
    unnoticed.wait()
    assert not process.is_gone({})
