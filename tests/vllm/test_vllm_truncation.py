"""Top-p, top-k and min-p in vLLM: the distributions of the definition, and where one token is left the other backend's tokens."""

from math import exp, inf
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from esprobe.arms import BASE, Arm
from esprobe.engines.backend import Decoding
from tests.helpers.decoding import softmax, truncated
from tests.vllm.conftest import PROBLEMS, PROMPTS, TOKENIZER, Pair, tied

TRUNCATIONS: list[dict[str, Any]] = [
    {"top_k": 7},
    {"top_k": 20, "top_p": 0.9},
    {"top_k": 20, "min_p": 0.02},
    {"top_k": 20, "top_p": 0.8, "min_p": 0.05},
    {"top_p": 0.5},
    {"min_p": 0.2},
]


@tied
@pytest.mark.parametrize("own", TRUNCATIONS, ids=str)
def test_truncated_distributions_are_the_definitions(pair: Pair, monkeypatch: pytest.MonkeyPatch, own: dict[str, Any]) -> None:
    pair.vllm.set_weights(BASE)
    drawing = pair.worker().model_runner.sampler.topk_topp_sampler
    monkeypatch.setattr(drawing, "logprobs_mode", "processed_logprobs")  # those that tokens are drawn by
    prompts = [[*prompt, *TOKENIZER("\n").input_ids] for prompt in PROMPTS[:8]]
    decoding = Decoding(1, 1.4, tuple(range(2, 34, 4)), **own)
    found = pair.vllm._run(prompts, decoding, [1] * 8, logprobs=20)
    model = AutoModelForCausalLM.from_pretrained(pair.model.folder, dtype=torch.float32)
    for prompt, output in zip(prompts, found, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([prompt])).logits[0, -1]
        wanted = {token: share for token, share in enumerate(truncated(softmax(logits.tolist(), 1.4), decoding)) if share}
        made = {token: exp(said.logprob) for token, said in output.outputs[0].logprobs[0].items() if said.logprob > -inf}
        assert made.keys() == wanted.keys()
        assert all(abs(made[token] - share) < 1e-4 for token, share in wanted.items())
        assert output.outputs[0].token_ids[0] in wanted


@tied
def test_where_one_token_is_left_both_backends_sample_the_same(pair: Pair) -> None:
    keys = tuple(Arm("m", "d", "temperature", 1.5).rollout_key(0, p.digest) for p in PROBLEMS[:8])
    pair.vllm.set_weights(BASE)
    pair.transformers.set_weights(BASE)
    greedy = pair.vllm.generate(PROMPTS[:8], Decoding(64))
    single: list[dict[str, Any]] = [{"top_k": 1}, {"min_p": 1.0}, {"top_p": 1e-9}]
    for own in single:
        decoding = Decoding(64, 1.5, keys, **own)
        assert pair.vllm.generate(PROMPTS[:8], decoding) == pair.transformers.generate(PROMPTS[:8], decoding) == greedy
    assert pair.vllm.generate(PROMPTS[:8], Decoding(64, 1.5, keys)) != greedy


@tied
def test_of_equal_tokens_vllm_keeps_the_lower_ids_too(pair: Pair) -> None:
    drawing = pair.worker().model_runner.sampler.topk_topp_sampler
    logits = torch.tensor([0.125, 0.25, 0.25, 0.25, 0.125]).log().expand(64, -1)
    two, half, every = torch.full((64,), 2), torch.full((64,), 0.5), torch.full((64,), 5)
    for k, p in ((two, None), (None, half), (every, half), (two, half)):
        tokens, _ = drawing(logits.clone(), {}, k, p)
        assert set(tokens.tolist()) == ({1, 2} if k is not two or p is None else {1})
