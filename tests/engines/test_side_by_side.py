"""Halves of a batch, decoded side by side by two threads, are the batch; and where one ends early, so does the other."""

from collections.abc import Iterator
from itertools import count
from threading import Event
from time import sleep
from typing import Any

import pytest
import torch

from esprobe.arms import BASE, Arm, Perturbation, Weights
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Decoding
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.engines.transformers_backend import FEWEST, TransformersBackend
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.prompts import prompt_text

MODEL = find_model(BUNDLED)
TOKENIZER = load_tokenizer(MODEL)
TASK = Countdown()
PROBLEMS = TASK.bundled()[: 3 * FEWEST + 1]
PROMPTS = [TOKENIZER(prompt_text(TASK, p.payload, "chat", TOKENIZER), add_special_tokens=False).input_ids for p in PROBLEMS]
ARM = Arm("m", "d", "temperature", 0.8)
SAMPLED = Decoding(64, 0.8, tuple(ARM.rollout_key(0, p.digest) for p in PROBLEMS))


def opened(threads: int) -> TransformersBackend:
    """A backend that was given this many threads, as on a machine with as many cores."""
    given = torch.get_num_threads()
    torch.set_num_threads(threads)
    made = TransformersBackend(MODEL, "float32", MODEL.end_ids(TOKENIZER))
    made.given = given
    return made


@pytest.fixture
def two() -> Iterator[TransformersBackend]:
    made = opened(2)
    yield made
    made.close()


@pytest.mark.parametrize("decoding", [Decoding(64), SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("perturbation", [None, Perturbation("iid", 7, 0.01)], ids=["base", "perturbed"])
def test_two_threads_give_what_one_gives(two: TransformersBackend, decoding: Decoding, perturbation: Perturbation | None) -> None:
    one = opened(1)
    assert (len(one.forwards), len(two.forwards)) == (1, 2)
    for prompts in (PROMPTS, PROMPTS[: FEWEST - 1], PROMPTS[:1], PROMPTS):  # the last time as remembered, if it is the base
        part = decoding.part(slice(len(prompts)))
        for backend in (one, two):
            backend.set_weights(Weights(perturbation=perturbation))
        assert two.generate(prompts, part) == one.generate(prompts, part)
    one.close()


def test_torch_has_its_threads_again_once_a_backend_is_closed() -> None:
    given = torch.get_num_threads()
    torch.set_num_threads(3)
    made = TransformersBackend(MODEL, "float32", MODEL.end_ids(TOKENIZER))
    assert torch.get_num_threads() == 1
    made.close()
    assert torch.get_num_threads() == 3
    torch.set_num_threads(given)


class _Disturbed:
    """A forward pass whose steps begin with `before`."""

    def __init__(self, forward: Any, before: Any) -> None:
        self.forward, self.before = forward, before

    def __getattr__(self, name: str) -> Any:
        return getattr(self.forward, name)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        self.before()
        logits: torch.Tensor = self.forward.step(tokens)
        return logits


@pytest.mark.parametrize("first", [0, 1])
def test_both_halves_end_where_one_does(two: TransformersBackend, first: int) -> None:
    """By Ctrl-C, which is met by the first alone, or by an error of either."""
    expected, whole = two.generate(PROMPTS, Decoding(64)), list(two.forwards)
    ended, steps = Event(), count()

    def end() -> None:
        ended.set()
        raise KeyboardInterrupt

    def go_on() -> None:
        if ended.is_set():
            next(steps)
            sleep(0.05)  # as if each step took long

    two.forwards = [_Disturbed(forward, end if i == first else go_on) for i, forward in enumerate(whole)]
    with pytest.raises(KeyboardInterrupt):
        two.generate(PROMPTS, Decoding(64))
    if first == 0:
        assert next(steps) < 30
    two.forwards = whole
    two.set_weights(BASE)
    assert two.generate(PROMPTS, Decoding(64)) == expected
