"""What rounding leaves of σ is measured for each group of weights, as it is written into the model, and costs no second model."""

from typing import Any

import pytest
import torch
from torch import Tensor

from esprobe.arms import NoiseScheme, Perturbation, Weights
from esprobe.bundled import BUNDLED
from esprobe.engines.models import find_model
from esprobe.engines.transformers_backend import TransformersBackend
from esprobe.weights import perturb
from esprobe.weights.rounding import Rounding, Sums, group, measure

SCHEMES: tuple[NoiseScheme, ...] = ("iid", "shared-seed")


def measured(base: dict[str, Tensor], sigma: float, scheme: NoiseScheme = "iid") -> dict[str, Rounding]:
    return {name: sums.rounding for name, sums in measure(base.items(), Perturbation(scheme, 3, sigma)).items()}


def base(dtype: torch.dtype, scale: float = 0.02) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "model.embed_tokens.weight": (scale * torch.randn(300, 64, generator=generator)).to(dtype),
        "model.layers.0.mlp.up_proj.weight": (scale * torch.randn(500, 64, generator=generator)).to(dtype),
        "model.layers.0.self_attn.q_proj.bias": (scale * torch.randn(64, generator=generator)).to(dtype),
        "model.layers.0.input_layernorm.weight": torch.ones(64).to(dtype),
    }


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sigma_that_every_weight_takes_is_nominal(scheme: NoiseScheme) -> None:
    for name, found in measured(base(torch.float32), 0.01, scheme).items():
        assert found.sigma == pytest.approx(1, abs=1e-4), name
        assert found.unchanged < 0.02, name


@pytest.mark.parametrize("scheme", SCHEMES)
def test_norms_near_one_swallow_a_small_sigma_in_bfloat16_and_matrices_do_not(scheme: NoiseScheme) -> None:
    found = measured(base(torch.bfloat16), 0.0005, scheme)
    assert found["norms"] == Rounding(64, 0.0, 1.0)  # half a step of bfloat16 below 1 is 0.002, four σ
    assert found["matrices"].sigma == pytest.approx(1, abs=0.03)
    assert found["matrices"].unchanged < 0.3


def test_large_weights_swallow_a_small_sigma_in_float16() -> None:
    found = measured(base(torch.float16, scale=16.0), 0.0005)
    assert found["matrices"].unchanged > 0.5
    assert found["matrices"].sigma < 0.95


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_measured_is_what_is_written(scheme: NoiseScheme, dtype: torch.dtype) -> None:
    weights, sigma = base(dtype), 0.003
    out = {name: torch.empty_like(weight) for name, weight in weights.items()}
    perturb.perturb_all(out, weights, Perturbation(scheme, 3, sigma))
    found = measured(weights, sigma, scheme)
    moved = (out["model.layers.0.mlp.up_proj.weight"].double() - weights["model.layers.0.mlp.up_proj.weight"].double()).flatten()
    wanted = torch.empty(500, 64, dtype=torch.float32 if scheme == "iid" else dtype)
    perturb.perturb(wanted, torch.zeros_like(wanted), "model.layers.0.mlp.up_proj.weight", Perturbation(scheme, 3, sigma))
    assert found["matrices"].weights == 500 * 64
    assert found["matrices"].unchanged == float((moved == 0).double().mean())
    assert found["matrices"].sigma == pytest.approx(float(moved.norm() / wanted.double().norm()), rel=1e-5)


def test_without_noise_nothing_is_lost() -> None:
    assert {r.sigma for r in measured(base(torch.bfloat16), 0.0).values()} == {1.0}
    assert {r.unchanged for r in measured(base(torch.bfloat16), 0.0).values()} == {1.0}


def test_pieces_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measured(base(torch.bfloat16), 0.001)
    monkeypatch.setattr(perturb, "CHUNK", 64)
    pieces = measured(base(torch.bfloat16), 0.001)
    assert {n: (r.weights, r.unchanged) for n, r in pieces.items()} == {n: (r.weights, r.unchanged) for n, r in whole.items()}
    sums = Sums(1, 4.0, 1.0, 0)
    sums.add(Sums(3, 12.0, 3.0, 2))
    assert sums.rounding == Rounding(4, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "dimensions", "kind"),
    [
        ("model.embed_tokens.weight", 2, "embeddings"),
        ("lm_head.weight", 2, "embeddings"),
        ("transformer.wpe.weight", 2, "embeddings"),
        ("model.layers.0.self_attn.qkv_proj.weight", 2, "matrices"),
        ("model.layers.0.mlp.experts.gate_up_proj", 3, "matrices"),
        ("model.layers.0.self_attn.q_norm.weight", 1, "norms"),
        ("transformer.h.0.ln_1.weight", 1, "norms"),
        ("transformer.h.0.ln_1.bias", 1, "biases"),
        ("model.layers.0.mamba.A_log", 1, "other"),
    ],
)
def test_weights_are_grouped_by_kind(name: str, dimensions: int, kind: str) -> None:
    assert group(name, dimensions) == kind


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_backend_measures_the_perturbation_that_it_sets(scheme: NoiseScheme) -> None:
    backend = TransformersBackend(find_model(BUNDLED), "bfloat16", [258])
    wish = Weights(perturbation=Perturbation(scheme, 7, 0.0005))
    found: dict[str, Any] = backend.rounding(wish)
    assert backend.current == wish
    assert set(found) == {"embeddings", "matrices", "norms", "biases"}
    assert sum(r.weights for r in found.values()) == 397_056
    still = {n: int((backend.weights[n] == backend.base.weights[n]).sum()) for n in backend.weights}
    norms = [n for n in still if group(n, backend.weights[n].dim()) == "norms"]
    assert found["norms"].unchanged == sum(still[n] for n in norms) / sum(backend.weights[n].numel() for n in norms)
    assert found["norms"].unchanged > 0.5
    backend.close()
