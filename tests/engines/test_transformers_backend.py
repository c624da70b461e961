"""The transformers backend: right tokens, rollouts that depend on nothing but themselves, and a base that is never lost."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from esprobe.arms import BASE, Arm, Perturbation, Update, Weights, perturbation_seed
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Decoding, Generation
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.engines.transformers_backend import TransformersBackend
from esprobe.errors import UserError
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.prompts import prompt_text
from esprobe.weights import perturb
from esprobe.weights.update import add

MODEL = find_model(BUNDLED)
TOKENIZER = load_tokenizer(MODEL)
TASK = Countdown()
PROBLEMS = TASK.bundled()[:24]
PROMPTS = [TOKENIZER(prompt_text(TASK, p.payload, "chat", TOKENIZER), add_special_tokens=False).input_ids for p in PROBLEMS]
GREEDY = Decoding(64)
SEEDS = [perturbation_seed("iid", 42, draw) for draw in range(8)]


def draw(number: int, sigma: float = 0.01) -> Weights:
    return Weights(perturbation=Perturbation("iid", SEEDS[number], sigma))


@pytest.fixture(scope="module")
def backend() -> Iterator[TransformersBackend]:
    made = TransformersBackend(MODEL, "float32", MODEL.end_ids(TOKENIZER))
    yield made
    made.close()


def temperature(value: float, draws: range) -> Decoding:
    arm = Arm("m", "d", "temperature", value)
    return Decoding(64, value, tuple(arm.rollout_key(d, p.digest) for d in draws for p in PROBLEMS))


def test_greedy_equals_generate_one_prompt_at_a_time(backend: TransformersBackend) -> None:
    model = AutoModelForCausalLM.from_pretrained(MODEL.folder, dtype=torch.float32)
    ours = backend.generate(PROMPTS[:8], GREEDY)
    for prompt, generation in zip(PROMPTS[:8], ours, strict=True):
        output = model.generate(torch.tensor([prompt]), max_new_tokens=64, do_sample=False)
        assert generation.ids == output[0, len(prompt) :].tolist()


def test_base_perturbed_base_gives_the_first_output_again(backend: TransformersBackend) -> None:
    backend.set_weights(BASE)
    live = {name: weight.clone() for name, weight in backend.weights.items()}
    first = backend.generate(PROMPTS, GREEDY)
    backend.set_weights(draw(7))
    perturbed = backend.generate(PROMPTS, GREEDY)
    assert not torch.equal(live["model.norm.weight"], backend.weights["model.norm.weight"])
    backend.set_weights(draw(3, 0.02))
    backend.set_weights(draw(7))
    assert backend.generate(PROMPTS, GREEDY) == perturbed
    backend.set_weights(BASE)
    assert all(torch.equal(live[name], weight) for name, weight in backend.weights.items())
    assert backend.generate(PROMPTS, GREEDY) == first
    assert first != perturbed


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_trained_model_is_its_updates_in_float32_rounded_once(backend: TransformersBackend, dtype: str) -> None:
    one, two = Update((3, 4), (0.004, -0.002)), Update((5,), (1e-3,))
    trained, noise = Weights((one, two)), Perturbation("iid", 7, 0.01)
    checkpoint = {name: weight.float() for name, weight in load_file(MODEL.folder / "model.safetensors").items()}
    for update in (one, two):
        add(checkpoint, update)
    made = backend if dtype == "float32" else TransformersBackend(MODEL, dtype, MODEL.end_ids(TOKENIZER))
    root = {name: weight.clone() for name, weight in made.weights.items()}
    made.set_weights(Weights((one,)))
    for perturbation in (None, noise, None):
        made.set_weights(Weights((one, two), perturbation))
        wanted = {name: torch.empty_like(weight) for name, weight in root.items()}
        perturb.perturb_all(wanted, checkpoint, perturbation or replace(noise, sigma=0.0))
        assert all(torch.equal(weight, wanted[name]) for name, weight in made.weights.items())
    assert made.generate(PROMPTS[:4], GREEDY) != made.generate(PROMPTS[4:8], GREEDY)
    found = made.rounding(Weights((one, two), noise))
    assert sum(group.weights for group in found.values()) == sum(weight.numel() for weight in root.values())
    late = TransformersBackend(MODEL, dtype, MODEL.end_ids(TOKENIZER))  # replaces one that died
    late.set_weights(trained)
    made.set_weights(trained)
    assert all(torch.equal(weight, made.weights[name]) for name, weight in late.weights.items())
    for weights in (Weights((Update((3,), (0.0,)),)), BASE):
        made.set_weights(weights)
        assert all(torch.equal(weight, root[name]) for name, weight in made.weights.items())


def test_a_draw_is_the_same_with_other_batch_sizes(backend: TransformersBackend) -> None:
    backend.set_weights(draw(7))
    whole = backend.generate(PROMPTS, GREEDY)
    by_fives = [g for i in range(0, len(PROMPTS), 5) for g in backend.generate(PROMPTS[i : i + 5], GREEDY)]
    backend.set_weights(BASE)
    assert by_fives == whole


def test_a_draw_is_the_same_in_a_fresh_process(backend: TransformersBackend) -> None:
    backend.set_weights(draw(7))
    here = backend.generate(PROMPTS, GREEDY)
    backend.set_weights(BASE)
    code = (
        "from tests.engines.test_transformers_backend import *\n"
        "b = TransformersBackend(MODEL, 'float32', MODEL.end_ids(TOKENIZER))\n"
        "b.set_weights(draw(7))\n"
        "print([g.ids for g in b.generate(PROMPTS, GREEDY)])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([g.ids for g in here])


def test_every_weight_is_perturbed_once_by_its_checkpoint_name(backend: TransformersBackend) -> None:
    checkpoint = load_file(MODEL.folder / "model.safetensors")
    assert set(backend.weights) == set(checkpoint)  # tied: there is no lm_head of its own
    backend.set_weights(draw(0, 0.5))
    for name, weight in backend.weights.items():
        moved = (weight - checkpoint[name].float()) / 0.5
        assert abs(moved.std() - 1) < 6 / sqrt(2 * moved.numel()), name
    assert backend.model.lm_head.weight.data_ptr() == backend.weights["model.embed_tokens.weight"].data_ptr()
    backend.set_weights(BASE)


def test_a_sampled_rollout_depends_on_its_key_and_not_on_its_batch(backend: TransformersBackend) -> None:
    whole = backend.generate(PROMPTS * 2, temperature(0.8, range(2)))
    second = backend.generate(PROMPTS, temperature(0.8, range(1, 2)))
    assert second == whole[len(PROMPTS) :]
    reverse = temperature(0.8, range(1, 2))
    backwards = backend.generate(PROMPTS[::-1], replace(reverse, keys=reverse.keys[::-1]))
    assert backwards[::-1] == second
    assert whole[: len(PROMPTS)] != second


def test_sampling_follows_the_softmax(backend: TransformersBackend) -> None:
    n, value = 4000, 1.3
    arm = Arm("m", "d", "temperature", value)
    keys = tuple(arm.rollout_key(d, "x") for d in range(n))
    first = [
        g.ids[1] for g in backend.generate([PROMPTS[0]] * n, Decoding(2, value, keys)) if g.ids[0] == TOKENIZER("\n").input_ids[0]
    ]
    with torch.inference_mode():
        logits = backend.model(torch.tensor([PROMPTS[0] + TOKENIZER("\n").input_ids])).logits[0, -1]
    expected = (logits / value).softmax(-1)
    counts = torch.bincount(torch.tensor(first), minlength=len(expected)).float()
    likely = expected * len(first) >= 5
    chi2 = ((counts - expected * len(first)) ** 2 / (expected * len(first)))[likely].sum()
    degrees = int(likely.sum()) - 1
    assert chi2 < degrees + 4 * sqrt(2 * degrees) + 4


def test_where_one_token_is_left_sampling_is_greedy(backend: TransformersBackend) -> None:
    greedy = backend.generate(PROMPTS[:8], GREEDY)
    hot = temperature(1.5, range(1))
    hot = replace(hot, keys=hot.keys[:8])
    assert backend.generate(PROMPTS[:8], hot) != greedy
    for one in (replace(hot, top_k=1), replace(hot, min_p=1.0), replace(hot, top_p=1e-9)):
        assert backend.generate(PROMPTS[:8], one) == greedy


def test_a_truncation_that_excludes_nothing_changes_no_token(backend: TransformersBackend) -> None:
    plain = temperature(1.5, range(1))
    wanted = backend.generate(PROMPTS, plain)
    for all_of_them in (replace(plain, top_k=10**6), replace(plain, min_p=1e-30), replace(plain, top_p=1 - 1e-15)):
        assert backend.generate(PROMPTS, all_of_them) == wanted
    assert backend.generate(PROMPTS, replace(plain, top_p=0.9)) != wanted


def test_generations_end_at_the_limit_the_end_token_or_the_context(backend: TransformersBackend) -> None:
    short = backend.generate(PROMPTS[:4], Decoding(5))
    assert [(len(g.ids), g.finish) for g in short] == [(5, "length")] * 4
    ended = [g for g in backend.generate(PROMPTS, GREEDY) if g.finish == "stop"]
    assert ended
    assert all(g.ids[-1] in backend.end_ids and g.ids[-1] not in g.ids[:-1] for g in ended)
    room = backend.context_length
    long_prompt = (PROMPTS[0] * room)[: room - 3]
    assert [len(g.ids) for g in backend.generate([long_prompt], Decoding(10))] == [3]
    with pytest.raises(UserError, match="reads at most"):
        backend.generate([long_prompt + PROMPTS[0]], GREEDY)


def test_weights_that_break_the_model_end_its_rollouts(backend: TransformersBackend) -> None:
    weight = backend.weights["model.norm.weight"]
    kept = weight.clone()
    weight.fill_(float("nan"))
    broken = backend.generate(PROMPTS[:3], GREEDY)
    weight.copy_(kept)
    assert broken == [Generation(g.ids, "nan") for g in broken]
    assert [len(g.ids) for g in broken] == [1, 1, 1]


def test_bfloat16_runs_and_a_broken_model_is_one_clear_error(tmp_path: Path) -> None:
    backend = TransformersBackend(MODEL, "bfloat16", MODEL.end_ids(TOKENIZER))
    backend.set_weights(draw(1))
    assert backend.weights["model.norm.weight"].dtype == torch.bfloat16
    assert len(backend.generate(PROMPTS[:4], GREEDY)) == 4
    backend.close()
    for file in MODEL.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot be loaded"):
        TransformersBackend(find_model(str(tmp_path)), "float32", [0])
