"""Tokens from vLLM: the transformers backend's, in any order and batch, in one process or several, and until an end id."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from esprobe.arms import BASE, Arm
from esprobe.engines.backend import Decoding, Generation
from esprobe.engines.vllm_backend import plain
from tests.vllm.conftest import GREEDY, PROBLEMS, PROMPTS, SEEDS, Pair, draw, ours, run_script, theirs, tied

SIGMAS = (0.0, 0.003, 0.01, 0.02)
ORDER = (3, 0, 7, 1, 2, 6, 5, 4)


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


def test_preparing_leaves_the_weights_as_they_are(pair: Pair) -> None:
    pair.vllm.set_weights(draw(4))
    wanted = pair.vllm.generate(PROMPTS, GREEDY)
    pair.vllm.prepared = False
    pair.vllm.prepare()
    assert pair.vllm.generate(PROMPTS, GREEDY) == wanted
    pair.vllm.set_weights(BASE)
