"""Trains by evolution strategies: sampling that moves the base. The database is the state; there is no separate resume.

An iteration is a perturbation arm of the model so far. Its rollouts are rows like any others, and what their rewards make of the
weights is the next model's row. Knows the order of things and nothing of how any of them is done.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, islice, pairwise
from math import fsum
from pathlib import Path
from typing import Any

from esprobe.arms import Update, trained_digest
from esprobe.engines.open import open_pool
from esprobe.engines.pool import Pool
from esprobe.errors import UserError
from esprobe.methods import GREEDY, TEMPERATURE
from esprobe.pipeline.meter import Advance, Meter
from esprobe.pipeline.origin import Origin, add_shipped, of_trained, origin
from esprobe.pipeline.prepare import Prepared
from esprobe.pipeline.sample import of_origin
from esprobe.pipeline.session import Session, session
from esprobe.pipeline.work import Setting
from esprobe.plan.sweep import PlannedArm, Sweep
from esprobe.plan.training import Training, coefficients
from esprobe.store.trained import TrainedModel, add_trained, find_trained, member_rewards

SAY_EVERY_S = 10.0


@dataclass(frozen=True)
class Evaluation:
    """What is sampled of the root, of the model after `every` so many iterations (None: of none), and of the last one."""

    sweep: Sweep
    every: int | None

    def due(self, iteration: int) -> bool:
        """Whether the model that this many iterations have made is one of them, the last one aside."""
        return iteration == 0 or (self.every is not None and iteration % self.every == 0)


@dataclass(frozen=True)
class Outcome:
    """What a training has come to: the last model's name, and how many rollouts were generated this time."""

    model: str
    generated: int


def evaluation(
    sweep: Sweep, every: int | None, data: Path | None, temperatures: tuple[float, ...], draws: int
) -> Evaluation | None:
    """What a training by `sweep` evaluates: greedy, and at the temperatures, on the problems of `data` or else the task's own.

    None where none of the three is given.
    """
    if every is None and data is None and not temperatures:
        return None
    method = TEMPERATURE.name if temperatures else GREEDY.name
    problems: dict[str, Any] = {"data": data, "training": False, "offset": 0, "limit": None}
    tests = replace(sweep, method=method, values=temperatures, draws=draws, greedy=True, **problems)
    return Evaluation(tests, every)


def train_all(
    trainings: Sequence[Training],
    sweep: Sweep,
    db: Path,
    command: str,
    meter: Meter,
    pool: Callable[[], Pool],
    tests: Evaluation | None = None,
) -> list[Outcome]:
    """One training after the other, each with engines of its own; see `train`."""
    return [train(training, sweep, db, command, meter, pool(), tests) for training in trainings]


def train(
    training: Training,
    sweep: Sweep,
    db: Path,
    command: str,
    meter: Meter,
    pool: Pool | None = None,
    evaluation: Evaluation | None = None,
) -> Outcome:
    """Trains as far as `training` says; what the database has already is not generated again.

    `sweep` says on what and how members are run: one perturbation arm, whose base seed each iteration replaces. `evaluation` is
    sampled on the way. Raises UserError. On KeyboardInterrupt what was finished is kept.
    """
    pool = pool or open_pool(1)
    root = origin(db, sweep.model)
    prepared = of_origin(sweep, pool, root)
    tests = of_origin(evaluation.sweep, pool, root) if evaluation else None
    batches = training.batches(len(prepared.setting.problems))
    model = root or root_of(prepared)
    with session(db, pool, replace(prepared.engine, trained=True), command, meter) as opened:
        course = _Course(training, opened, prepared, sweep.batch_size)
        add_shipped(opened.store, model)
        for iteration, (batch, following) in enumerate(pairwise(chain(islice(batches, training.iterations), [()]))):
            if evaluation and tests and evaluation.due(iteration):
                course.evaluate(tests, model)
            model = course.step(model, iteration, batch, following)
        if tests:
            course.evaluate(tests, model)
        return Outcome(model.name, course.generated)


def root_of(prepared: Prepared) -> Origin:
    """The model whose files were prepared, as a training's root."""
    files = prepared.engine.model
    return Origin(files.name, files.digest, files.name, files.source, files.digest, ())


def iteration_arm(training: Training, prepared: Prepared, model: Origin, iteration: int, batch: Sequence[int]) -> PlannedArm:
    """The members of an iteration on these problems (positions): an arm that has exactly these draws and problems."""
    digests = ",".join(prepared.setting.problems[i].digest for i in batch)
    own = {
        "seed": training.iteration_seed(iteration),
        "iteration": {"members": training.population, "problems": hashlib.sha256(digests.encode()).hexdigest()[:32]},
    }
    [planned] = model.arms(prepared.arms)
    return replace(planned, arm=replace(planned.arm, settings=dict(planned.arm.settings) | own))


def settings_of(training: Training) -> dict[str, Any]:
    """What a training's weights depend on besides its root: two of one name must agree in it."""
    found = asdict(training)
    del found["iterations"], found["name"]
    return found


def check_same(training: Training, made: TrainedModel, planned: PlannedArm) -> None:
    """Raises UserError if the model of this name was made by another training, or of another arm than the planned one."""
    for key, value in settings_of(training).items():
        if (then := made.settings.get(key)) != value:
            option = f"--{key.replace('_', '-')}"
            how = f"without {option}" if then is None else f"with {option} {then}"
            raise UserError(f"{made.name} was trained {how}, not {value}; take another --name")
    if made.arm != planned.arm.digest:
        raise UserError(
            f"{made.name} was trained from another model, on other problems or by another engine; take another --name"
        )


class _Course:
    """A training on its way. `generated`: rollouts so far, those of evaluations included."""

    def __init__(self, training: Training, opened: Session, prepared: Prepared, batch_size: int) -> None:
        self.training, self.session, self.prepared, self.batch_size = training, opened, prepared, batch_size
        self.generated = 0
        self._advance: Advance | None = None
        self._said = 0.0

    def step(self, model: Origin, iteration: int, batch: Sequence[int], following: Sequence[int]) -> Origin:
        """The model that an iteration on these problems (positions) makes of `model`. Raises UserError.

        `following`: the next iteration's problems, which are added to the database while the last members are run.
        """
        name = self.training.model(iteration + 1)
        planned = iteration_arm(self.training, self.prepared, model, iteration, batch)
        if (made := find_trained(self.session.store, name)) is not None:
            check_same(self.training, made, planned)
            return of_trained(made)
        setting = self.prepared.setting.only(batch)
        lacking = self.session.lacking(setting, [planned])
        part = _Part(self.session.meter, self.training.name, self._begun(setting, iteration))
        ahead = partial(self.session.add_problems, self.prepared.setting.only(following))
        self.generated += self.session.generate(setting, lacking, self.batch_size, part, ahead)
        rewards = self._rewards(planned, len(batch))
        noises = [noise for draw in range(planned.draws) if (noise := planned.perturbation(draw))]
        weights = coefficients(rewards, self.training.rate(iteration))
        update = Update(tuple(noise.seed for noise in noises), tuple(weights), noises[0].scheme)
        digest = trained_digest(model.digest, [update])
        add_trained(self.session.store, name, digest, model.digest, planned.arm.digest, update, settings_of(self.training))
        self._say(name, rewards)
        return Origin(name, digest, model.root, model.source, model.root_digest, (*model.updates, update))

    def evaluate(self, tests: Prepared, model: Origin) -> None:
        """Samples the tests' arms of the model, as far as they are lacking."""
        lacking = self.session.lacking(tests.setting, model.arms(tests.arms))
        if total := sum(lacking.values()):
            self.session.meter.say(f"{model.name}: {total:,} rollouts to evaluate it")
            self.session.begin(tests.setting, max(total, self.training.population))  # the engines will train too
            self.generated += self.session.generate(tests.setting, lacking, self.batch_size)

    def _rewards(self, planned: PlannedArm, problems: int) -> list[float]:
        """The mean reward of each member, from the rows alone. Raises UserError where another process has taken some away."""
        scorer = self.prepared.setting.task.default_scorer
        found = member_rewards(self.session.store, planned.arm.digest, scorer, self.training.reward)
        if [found.get(draw, (0, 0.0))[0] for draw in range(planned.draws)] != [problems] * planned.draws:
            raise UserError(f"{planned.arm.label}: rollouts of this iteration have been deleted; the same command continues")
        return [found[draw][1] for draw in range(planned.draws)]

    def _begun(self, setting: Setting, iteration: int) -> Advance:
        """What follows the progress of all iterations that are left, which the first of them to generate anything begins."""
        if self._advance is None:
            spec, training = self.session.spec, self.training
            left = training.iterations - iteration
            self.session.meter.say(
                f"{training.name}: {left:,} of {training.iterations:,} iterations to train from {spec.model.name}, "
                f"{training.rollouts:,} rollouts each ({spec.backend}, {spec.dtype})"
            )
            self.session.begin(setting, training.population)
            self._advance = self.session.meter.start({training.name: left * training.rollouts}, "rollouts")
        return self._advance

    def _say(self, name: str, rewards: Sequence[float]) -> None:
        """A line about an iteration, now and then."""
        if time.monotonic() >= self._said + SAY_EVERY_S or name == self.training.model(self.training.iterations):
            self._said = time.monotonic()
            mean, best = fsum(rewards) / len(rewards), max(rewards)
            self.session.meter.say(f"{name}: members had {100 * mean:.1f}% on average, the best {100 * best:.1f}% of the reward")


@dataclass(frozen=True)
class _Part:
    """A meter of a part of the work, which counts towards the whole; see `Meter`."""

    meter: Meter
    whole: str
    advance: Advance

    def start(self, parts: Mapping[str, int], unit: str) -> Advance:
        """See Meter."""
        return lambda part, count: self.advance(self.whole, count)

    def say(self, line: str) -> None:
        """See Meter."""
        self.meter.say(line)
