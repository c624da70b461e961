"""Low-rank noise: its distribution, that it is the product of its factors, and which weights of a model it moves."""

import numpy as np
import pytest
import torch
from torch import Tensor

from esprobe.arms import BASE, Arm, Perturbation, Weights
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Decoding
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.engines.transformers_backend import TransformersBackend
from esprobe.weights.low_rank import noise
from esprobe.weights.perturb import normals

SHAPE = (48, 80)


@pytest.mark.parametrize("rank", [1, 2, 7])
def test_it_is_the_product_of_its_factors(rank: int) -> None:
    a = normals(5, f"layer A of rank {rank}", 0, rank * SHAPE[1]).double().numpy().reshape(rank, SHAPE[1])
    b = normals(5, f"layer B of rank {rank}", 0, SHAPE[0] * rank).double().numpy().reshape(SHAPE[0], rank)
    made = noise(5, "layer", SHAPE, rank).numpy()
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, b @ a / np.sqrt(rank), rtol=0, atol=1e-5)
    assert np.linalg.matrix_rank(made.astype(float), tol=1e-3) == rank


@pytest.mark.parametrize("rank", [1, 4])
def test_every_element_has_mean_zero_and_variance_one_over_seeds(rank: int) -> None:
    """Of 4,000 seeds; the variance of x² for a product of two normals is 8, so that of its mean is 8/4,000 at most."""
    draws = torch.stack([noise(seed, "layer", (3, 2), rank) for seed in range(4000)]).double()
    assert draws.mean(0).abs().max() < 5 * 4000**-0.5
    assert (draws.square().mean(0) - 1).abs().max() < 5 * (8 / 4000) ** 0.5


def test_layers_seeds_and_ranks_have_noise_of_their_own() -> None:
    made = [noise(5, "one", SHAPE, 1), noise(5, "two", SHAPE, 1), noise(6, "one", SHAPE, 1), noise(5, "one", SHAPE, 2)]
    flat = torch.stack([piece.flatten() for piece in made]).double()
    related = torch.corrcoef(flat).fill_diagonal_(0)
    assert related.abs().max() < 0.35  # of rank 1 there are 128 numbers, not 3,840


@pytest.fixture(scope="module")
def backend() -> TransformersBackend:
    model = find_model(BUNDLED)
    return TransformersBackend(model, "float32", model.end_ids(load_tokenizer(model)))


def moved(backend: TransformersBackend, perturbation: Perturbation) -> dict[str, Tensor]:
    backend.set_weights(BASE)
    before = {name: weight.clone() for name, weight in backend.weights.items()}
    backend.set_weights(Weights((), perturbation))
    after = {name: weight.clone() for name, weight in backend.weights.items()}
    backend.set_weights(BASE)
    assert all(torch.equal(weight, before[name]) for name, weight in backend.weights.items())
    return {name: after[name] - before[name] for name in before if not torch.equal(after[name], before[name])}


def test_linear_layers_move_and_nothing_else(backend: TransformersBackend) -> None:
    changed = moved(backend, Perturbation("low-rank", 9, 0.5, rank=3))
    kinds = {name.rpartition("layers.")[2].partition(".")[2] for name in changed}
    assert kinds == {f"self_attn.{x}_proj.weight" for x in "qkvo"} | {f"mlp.{x}_proj.weight" for x in ("gate", "up", "down")}
    assert len(changed) == 7 * backend.model.config.num_hidden_layers
    for name, change in changed.items():
        assert torch.allclose(change, 0.5 * noise(9, name, change.shape, 3), rtol=0, atol=1e-6)


def test_a_perturbed_model_is_the_base_with_its_adapters(backend: TransformersBackend) -> None:
    """An adapter adds (σ/√r)·B(A x) to what a layer makes of x. The two differ in rounding alone."""
    perturbation = Perturbation("low-rank", 9, 0.02, rank=2)
    ids = torch.tensor([load_tokenizer(find_model(BUNDLED))("12 + 30 =").input_ids])
    backend.set_weights(Weights((), perturbation))
    perturbed = backend.model(ids).logits
    backend.set_weights(BASE)
    plain = backend.model(ids).logits
    hooks = []
    for name, part in backend.model.named_modules():
        if f"{name}.weight" in backend.linear:
            rows, columns = part.weight.shape
            a = normals(9, f"{name}.weight A of rank 2", 0, 2 * columns).view(2, columns)
            b = normals(9, f"{name}.weight B of rank 2", 0, rows * 2).view(rows, 2)

            def adapted(_: object, x: tuple[Tensor], y: Tensor, a: Tensor = a, b: Tensor = b) -> Tensor:
                return y + (x[0] @ a.T) @ b.T * (0.02 / 2**0.5)

            hooks.append(part.register_forward_hook(adapted))
    by_adapters = backend.model(ids).logits
    for hook in hooks:
        hook.remove()
    assert (perturbed - plain).abs().max() > 0.1
    torch.testing.assert_close(perturbed, by_adapters, rtol=1e-3, atol=1e-3)


def test_what_rounding_leaves_is_measured_of_linear_layers(backend: TransformersBackend) -> None:
    found = backend.rounding(Weights((), Perturbation("low-rank", 9, 0.02, rank=1)))
    assert list(found) == ["matrices"]
    assert found["matrices"].sigma == pytest.approx(1, abs=1e-3)
    made = backend.generate([[1, 2, 3]], Decoding(4))
    backend.set_weights(BASE)
    assert len(made) == 1


def test_the_rank_belongs_to_an_arms_identity() -> None:
    settings = {"noise": "low-rank", "seed": 42, "seeds": "53 bits", "rank": 1}
    one, two = (Arm("m", "d", "perturbation", 0.1, settings | {"rank": rank}) for rank in (1, 2))
    assert one.digest != two.digest
    assert one.perturbation(3) == Perturbation("low-rank", one.perturbation(3).seed, 0.1, 1)  # type: ignore[union-attr]
