"""Weights in vLLM: noise and updates in every one or a refusal, as in the transformers backend, and a base that comes back."""

from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from esprobe.arms import BASE, Perturbation, Update, Weights
from esprobe.weights import perturb
from esprobe.weights.update import add
from tests.vllm.conftest import GREEDY, PROMPTS, Pair, draw, ours, run_script, theirs, tied


def parts(name: str) -> list[tuple[str, slice]]:
    """The checkpoint's tensors that an engine's parameter consists of, and their rows in it."""
    if "qkv_proj" in name:
        return [(name.replace("qkv_proj", f"{x}_proj"), slice(96 * i, 96 * i + 96)) for i, x in enumerate("qkv")]
    if "gate_up_proj" in name:
        return [(name.replace("gate_up", x), slice(192 * i, 192 * i + 192)) for i, x in enumerate(("gate", "up"))]
    return [(name, slice(0, 275 if "embed_tokens" in name or "lm_head" in name else None))]  # without vLLM's padding


def fused_part(base: Tensor, name: str, rows: slice, perturbation: Perturbation | None) -> Tensor:
    assert perturbation is not None
    piece = base[rows].contiguous()
    out = torch.empty_like(piece)
    perturb.perturb(out, piece, name, perturbation)
    return out


def test_every_live_weight_is_base_plus_noise_bit_for_bit(pair: Pair) -> None:
    pair.vllm.set_weights(draw(0))
    pair.vllm.set_weights(BASE)
    live = pair.live().live
    base = {name: weight.clone() for name, weight in live.items()}
    pair.vllm.set_weights(draw(5, 0.02))
    for name, weight in live.items():
        wanted = [fused_part(base[name], part, rows, draw(5, 0.02).perturbation) for part, rows in parts(name)]
        assert torch.equal(weight[: sum(map(len, wanted))], torch.cat(wanted)), name
    pair.vllm.set_weights(BASE)
    assert all(torch.equal(weight, base[name]) for name, weight in live.items())


def test_weights_go_straight_to_where_the_loader_puts_them(pair: Pair) -> None:
    pair.vllm.set_weights(draw(0))
    live, written = pair.live(), {}
    places = live.places
    assert places is not None
    assert len(places) == len(live.base.weights)
    for way in (places, None):
        live.places = way
        pair.vllm.set_weights(draw(6, 0.02))
        written[way is None] = {name: weight.clone() for name, weight in live.live.items()}
        pair.vllm.set_weights(BASE)
    live.places = places
    assert all(torch.equal(weight, written[True][name]) for name, weight in written[False].items())


def test_a_trained_model_is_the_transformers_backends(pair: Pair) -> None:
    one, two = Update((3, 4), (0.004, -0.002)), Update((5,), (1e-3,))
    base = ours(pair, BASE)
    steps = [Weights((one,)), Weights((one, two)), Weights((one, two), draw(0).perturbation), Weights((two,)), draw(1), BASE]
    steps += [Weights((one, two), Perturbation("shared-seed", 7, 0.0)), Weights((one, two)), Weights((Update((3,), (0.0,)),))]
    for weights in steps:
        assert ours(pair, weights) == theirs(pair, weights), weights
    assert ours(pair, steps[-1]) == base != ours(pair, steps[1])
    live, folder = pair.live(), pair.model.folder
    checkpoint = {name: weight.float() for name, weight in load_file(folder / "model.safetensors").items()}
    for update in (one, two):
        add(checkpoint, update)
    for name, weight in live.live.items():
        wanted = [checkpoint[part] for part, _ in parts(name)]
        assert torch.equal(weight[: sum(map(len, wanted))], torch.cat(wanted)), name
    pair.vllm.set_weights(BASE)


def test_shared_seed_is_the_published_scheme(pair: Pair) -> None:
    seed, sigma = 123456789, 0.01
    published = Weights(perturbation=Perturbation("shared-seed", seed, sigma))
    model = AutoModelForCausalLM.from_pretrained(pair.model.folder, dtype=torch.float32)
    weights = dict(model.named_parameters())
    pair.vllm.set_weights(draw(0))
    with torch.no_grad():
        for name, weight in pair.live().live.items():  # the names and fused shapes that vLLM has
            generator = torch.Generator().manual_seed(seed)
            fused = torch.randn(weight.shape, generator=generator, dtype=torch.float32) * sigma
            for part, rows in parts(name):
                weights[part].add_(fused[rows])
    pair.vllm.set_weights(published)
    perturbed = pair.vllm.generate(PROMPTS, GREEDY)
    for prompt, generation in zip(PROMPTS, perturbed, strict=True):
        output = model.generate(torch.tensor([prompt]), max_new_tokens=64, do_sample=False)
        assert generation.ids == output[0, len(prompt) :].tolist()
    base = theirs(pair, BASE)
    assert perturbed != base
    assert ours(pair, draw(6)) == theirs(pair, draw(6))  # the schemes do not disturb each other
    assert ours(pair, BASE) == base
    pair.vllm.set_weights(published)
    assert pair.vllm.generate(PROMPTS, GREEDY) == perturbed
    assert ours(pair, BASE) == base


@tied
def test_the_loader_gets_the_checkpoints_order_and_pieces_are_small(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.vllm.set_weights(draw(0))
    base, chunk = pair.live().base.weights, 2000
    monkeypatch.setattr(perturb, "CHUNK", chunk)
    assert [name for name, _ in pair.live().stream(draw(1).perturbation)] == list(base)
    pieces = list(perturb.runs(base))
    assert any(len(names) > 1 for names in pieces)
    assert all(len(names) == 1 or sum(base[name].numel() for name in names) <= 4 * chunk for names in pieces)


@tied
def test_the_same_perturbation_again_is_free(pair: Pair) -> None:
    pair.vllm.set_weights(draw(1))
    live = pair.live()
    live.model, model = None, live.model  # whatever wrote weights would fail
    try:
        pair.vllm.set_weights(draw(1))
    finally:
        live.model = model
    pair.vllm.set_weights(BASE)


@tied
def test_rounding_is_what_the_transformers_backend_measures(pair: Pair) -> None:
    """In float32 there is next to none; that of 16 bits is a matter of `rounding` alone."""
    wish = draw(6, 1e-7)  # so small that even float32 rounds it
    ours, theirs = pair.vllm.rounding(wish), pair.transformers.rounding(wish)
    assert pair.vllm.current == wish
    assert {name: (r.weights, r.unchanged) for name, r in ours.items()} == {
        n: (r.weights, r.unchanged) for n, r in theirs.items()
    }
    assert all(r.sigma == pytest.approx(theirs[name].sigma) for name, r in ours.items())  # added up in another order
    assert ours["norms"].unchanged > 0.1
    published = Weights(perturbation=Perturbation("shared-seed", 7, 0.01))
    assert {name: r.weights for name, r in pair.vllm.rounding(published).items()}.keys() == theirs.keys()
    for backend in (pair.vllm, pair.transformers):
        backend.set_weights(BASE)


@pytest.fixture
def restored(pair: Pair) -> Iterator[Pair]:
    """For tests that leave the live weights half written."""
    pair.vllm.set_weights(draw(0))
    pair.vllm.set_weights(BASE)
    yield pair
    pair.vllm.set_weights(draw(0))  # the backend takes the weights for the base, and would leave them
    pair.vllm.set_weights(BASE)


@tied
def test_a_loader_that_misses_a_weight_is_refused(restored: Pair) -> None:
    from esprobe.engines.vllm_worker import LiveWeights, NotTheWholeModelError

    class Forgetful(LiveWeights):
        def write(self, pairs: Iterator[tuple[str, Tensor]]) -> None:
            super().write((name, weight) for name, weight in pairs if name != "model.layers.2.mlp.up_proj.weight")

    live = restored.live()
    forgetful = Forgetful(live.model, live.folder, live.dtype, live.alone)
    with pytest.raises(NotTheWholeModelError, match=r"does not restore 'model\.layers\.2\.mlp\.gate_up_proj\.weight'"):
        forgetful.set(draw(1))


@tied
def test_noise_that_misses_the_linear_layers_is_refused_even_if_the_base_comes_back(restored: Pair) -> None:
    from esprobe.engines.vllm_worker import LiveWeights, NotTheWholeModelError

    class NoLinear(LiveWeights):
        def write(self, pairs: Iterator[tuple[str, Tensor]]) -> None:
            kept = self.base.weights
            super().write((name, kept[name] if "_proj.weight" in name else weight) for name, weight in pairs)

    live = restored.live()
    with pytest.raises(NotTheWholeModelError, match="are not the perturbed ones"):
        NoLinear(live.model, live.folder, live.dtype, live.alone).set(draw(1))


def test_the_published_mistake_is_refused() -> None:
    """Noise over `named_parameters()` while a CPU's linear weights are packed away: silent without our check."""
    printed = run_script("published_mistake.py")
    assert "refused: model 'countdown-tiny': perturbing it in vLLM would miss weights: " in printed
    assert "packed away 16 of 30 weights" in printed
    assert "unchecked: accepted" in printed
