"""The vLLM backend: the transformers backend's tokens, noise in every weight or a refusal, no stale cache, no lost base."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from esprobe.arms import BASE, Arm, Perturbation, Update, Weights, perturbation_seed
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Decoding, Generation
from esprobe.engines.models import find_model
from esprobe.engines.vllm_backend import VllmBackend, plain
from esprobe.errors import UserError
from esprobe.weights import perturb
from esprobe.weights.update import add
from tests.conftest import HANGS_S
from tests.vllm.conftest import PROBLEMS, PROMPTS, Pair

GREEDY = Decoding(64)
SEEDS = [perturbation_seed("iid", 42, draw) for draw in range(8)]
SIGMAS = (0.0, 0.003, 0.01, 0.02)
ORDER = (3, 0, 7, 1, 2, 6, 5, 4)
ROOT = Path(__file__).parents[2]
tied = pytest.mark.parametrize("pair", ["tied"], indirect=True)


def draw(number: int, sigma: float = 0.01) -> Weights:
    return Weights(perturbation=Perturbation("iid", SEEDS[number], sigma))


def ours(pair: Pair, weights: Weights) -> list[Generation]:
    pair.vllm.set_weights(weights)
    generations: list[Generation] = pair.vllm.generate(PROMPTS, GREEDY)
    return generations


def theirs(pair: Pair, weights: Weights) -> list[Generation]:
    pair.transformers.set_weights(weights)
    return pair.transformers.generate(PROMPTS, GREEDY)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_greedy_tokens_are_the_transformers_backends(pair: Pair, sigma: float) -> None:
    base = theirs(pair, BASE)
    assert ours(pair, BASE) == base
    different = 0
    for number in ORDER:
        wanted = theirs(pair, draw(number, sigma))
        assert ours(pair, draw(number, sigma)) == wanted, f"draw {number}"
        different += wanted != base
    assert ours(pair, BASE) == base
    assert different == (len(ORDER) if sigma else 0)  # otherwise equal tokens would show nothing


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
def test_sampled_rollouts_depend_on_neither_order_nor_batch(pair: Pair) -> None:
    pair.vllm.set_weights(BASE)
    arm = Arm("m", "d", "temperature", 0.8)
    keys = [arm.rollout_key(number, p.digest) for number in range(3) for p in PROBLEMS]
    prompts = PROMPTS * 3

    def sample(rows: list[int]) -> dict[int, Generation]:
        made = pair.vllm.generate([prompts[r] for r in rows], Decoding(64, 0.8, tuple(keys[r] for r in rows)))
        return dict(zip(rows, made, strict=True))

    rows = list(range(len(prompts)))
    whole = sample(rows)
    assert sample(rows[::-1]) == whole
    assert {r: g for start in range(0, len(rows), 7) for r, g in sample(rows[start : start + 7]).items()} == whole
    assert len({tuple(whole[r].ids) for r in range(0, len(rows), len(PROMPTS))}) > 1  # draws of one problem differ


@tied
def test_without_emptying_the_prefix_cache_long_prompts_would_be_wrong(pair: Pair) -> None:
    prompts = [(PROMPTS[i] * 20)[: 300 + i] for i in range(6)]  # a CPU's blocks hold 128 tokens
    few = Decoding(32)
    pair.vllm.set_weights(BASE)
    pair.vllm.generate(prompts, few)
    pair.transformers.set_weights(draw(2, 0.02))
    wanted = pair.transformers.generate(prompts, few)
    wish = draw(2, 0.02)
    pair.vllm.llm.collective_rpc("esprobe_set_weights", args=plain(wish))  # and no reset
    assert pair.vllm.generate(prompts, few) != wanted
    pair.vllm.set_weights(wish)
    assert pair.vllm.generate(prompts, few) == wanted
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


def run_script(script: str, *args: object, env: dict[str, str] | None = None) -> str:
    """What a Python script prints; engines of another kind need a separate process."""
    path = Path(__file__).with_name(script)
    done = subprocess.run(
        [sys.executable, str(path), *map(str, args)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | (env or {}),
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_published_mistake_is_refused() -> None:
    """Noise over `named_parameters()` while a CPU's linear weights are packed away: silent without our check."""
    printed = run_script("published_mistake.py")
    assert "refused: model 'countdown-tiny': perturbing it in vLLM would miss weights: " in printed
    assert "packed away 16 of 30 weights" in printed
    assert "unchecked: accepted" in printed


@tied
def test_a_worker_in_another_process_gives_the_same_tokens(pair: Pair) -> None:
    printed = run_script("in_processes.py", *SEEDS[:2], env={"VLLM_ENABLE_V1_MULTIPROCESSING": "1"})
    wanted = [theirs(pair, wish) for wish in (BASE, draw(0), draw(1), BASE)]
    assert printed.splitlines()[-4:] == [str([g.ids for g in generations]) for generations in wanted]


def test_one_engine_in_two_processes_gives_the_same_tokens(tmp_path: Path) -> None:
    # the bundled model's three heads cannot be halved, and vLLM's attention on a CPU has none of fewer than 32 dimensions
    torch.manual_seed(0)
    shape = {"hidden_size": 128, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=275, num_hidden_layers=2, max_position_embeddings=512, initializer_range=0.2, **shape)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    vllm, transformers = (
        run_script("in_parallel.py", tmp_path, backend).splitlines()[-6:] for backend in ("vllm", "transformers")
    )
    assert vllm == transformers
    assert len(set(vllm)) == 5  # the base twice


@tied
def test_prompts_that_fill_the_context_are_refused_and_longer_rollouts_cut(pair: Pair) -> None:
    ours, context = pair.vllm, pair.model.context_length()
    nearly = (PROMPTS[0] * 200)[: context - 5]
    for backend in (ours, pair.transformers):
        backend.set_weights(BASE)
        with pytest.raises(UserError, match=f"a prompt has {context} tokens"):
            backend.generate([(PROMPTS[0] * 200)[:context]], GREEDY)
    prompts = [nearly, PROMPTS[1]]
    assert ours.generate(prompts, GREEDY) == pair.transformers.generate(prompts, GREEDY)


@tied
def test_exactly_the_end_ids_end_a_rollout(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.vllm.set_weights(BASE)
    usual = pair.vllm.generate(PROMPTS, GREEDY)
    assert {g.ids[-1] for g in usual if g.finish == "stop"} == set(pair.vllm.end_ids)
    other = usual[0].ids[2]
    monkeypatch.setattr(pair.vllm, "end_ids", [other])
    first = pair.vllm.generate(PROMPTS[:1], GREEDY)[0]
    assert first.finish == "stop"
    assert first.ids == usual[0].ids[: usual[0].ids.index(other) + 1]
    monkeypatch.setattr(pair.vllm, "end_ids", [])
    assert pair.vllm.generate(PROMPTS[:1], GREEDY)[0].finish == "length"


@tied
def test_outputs_that_are_not_numbers_are_marked_and_leave_nothing_behind(pair: Pair) -> None:
    base = ours(pair, BASE)
    broken = ours(pair, draw(0, 1e25))
    assert {g.finish for g in broken} == {"nan"}
    assert broken == theirs(pair, draw(0, 1e25))
    assert ours(pair, BASE) == base


@tied
@pytest.mark.parametrize("temperature", [0.005, 2.5])
def test_temperatures_that_vllm_would_change_or_refuse_are_refused(pair: Pair, temperature: float) -> None:
    with pytest.raises(UserError, match=rf"T from 0\.01 to 2, not {temperature}; take another T, or --backend transformers"):
        pair.vllm.generate(PROMPTS[:1], Decoding(8, temperature, (1,)))


@tied
def test_a_quantized_model_is_not_perturbed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair.vllm, "quantized", True)
    with pytest.raises(UserError, match="is quantized"):
        pair.vllm.set_weights(draw(1))


@tied
def test_a_token_beyond_the_embedding_is_refused(pair: Pair) -> None:
    with pytest.raises(UserError, match="a prompt has token 275, but the embedding"):
        pair.vllm.generate([[1, 2], [275]], GREEDY)


def test_preparing_leaves_the_weights_as_they_are(pair: Pair) -> None:
    pair.vllm.set_weights(draw(4))
    wanted = pair.vllm.generate(PROMPTS, GREEDY)
    pair.vllm.prepared = False
    pair.vllm.prepare()
    assert pair.vllm.generate(PROMPTS, GREEDY) == wanted
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


def loading(folder: Path) -> str:
    """What the user is told of a model that vLLM starts with, in a separate process; empty if it runs."""
    lines = run_script("loading.py", folder).splitlines()
    return next((line for line in lines if line.startswith("refused: ")), "")


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("layers.3.mlp.down_proj", "model.layers.3.mlp.down_proj.weight is missing"),
        ("layers.1.self_attn.k_proj", "model.layers.1.self_attn.qkv_proj.weight and 1 more are missing"),
        ("model.norm.weight", "missing"),
    ],
)
def test_a_tensor_that_the_checkpoint_lacks_is_refused(tmp_path: Path, lost: str, says: str) -> None:
    folder = copied(tmp_path)
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if lost not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    told = loading(folder)
    assert says in told or lost in told, told


@pytest.mark.parametrize("layers", [3, 5])
def test_a_config_with_other_layers_than_the_checkpoint_is_refused(tmp_path: Path, layers: int) -> None:
    folder = copied(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"num_hidden_layers": layers, "layer_types": ["full_attention"] * layers})
    )
    told = loading(folder)
    assert f"layers.{min(layers, 4)}" in told, told


def test_weights_that_only_vllm_would_read_are_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    shutil.copy(folder / "model.safetensors", folder / "older.safetensors")
    with pytest.raises(UserError, match=r"vLLM would read 'older\.safetensors'"):
        VllmBackend(find_model(str(folder)), "float32", [258])


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(find_model(BUNDLED).folder, folder / "model"))
