"""The next token follows the definition of `Decoding`: the right tokens are left, and each is drawn with its probability."""

from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from esprobe.engines.backend import Decoding
from esprobe.engines.choice import choose, kept
from tests.helpers.decoding import softmax, truncated

GRID = 20_000  # uniforms, evenly spaced


def drawn(logits: Tensor, decoding: Decoding) -> Tensor:
    """How often each token comes of the grid's uniforms, for one row of logits (vocabulary,)."""
    uniform = (torch.arange(GRID, dtype=torch.double) + 0.5) / GRID
    tokens = choose(logits.expand(GRID, -1), decoding, uniform)
    return torch.bincount(tokens, minlength=len(logits))


def of(**truncation: Any) -> Decoding:
    return Decoding(1, 1.0, (1,), **truncation)


# Weights that add up to a power of two, and shares of so few bits that no rounding moves a cut: small ones, so that many tie.
shares = st.integers(1, 64).map(lambda number: number / 64)
rows = st.lists(st.integers(0, 6), max_size=40)
decodings = st.builds(of, top_p=st.none() | shares, top_k=st.none() | st.integers(1, 50), min_p=st.none() | shares)


@given(rows, st.integers(0, 40), decodings)
def test_what_is_left_is_what_the_definition_leaves(weights: list[int], place: int, decoding: Decoding) -> None:
    weights.insert(place, 256 - sum(weights))
    probabilities = torch.tensor(weights, dtype=torch.float32) / 256
    wanted = [share > 0 for share in truncated([Fraction(weight, 256) for weight in weights], decoding)]
    left = kept(probabilities.unsqueeze(0), decoding)[0] & (probabilities > 0)
    assert left.tolist() == wanted


@given(st.lists(rows, min_size=2, max_size=5), decodings)
def test_a_row_does_not_depend_on_the_others(several: list[list[int]], decoding: Decoding) -> None:
    weights = torch.tensor([[256 - sum(row), *row, *[0] * (40 - len(row))] for row in several], dtype=torch.float32) / 256
    together = kept(weights, decoding)
    assert all(torch.equal(kept(row.unsqueeze(0), decoding)[0], left) for row, left in zip(weights, together, strict=True))


SETTINGS = [
    of(),
    of(top_p=0.9),
    of(top_p=0.5),
    of(top_p=0.999),
    of(top_k=1),
    of(top_k=7),
    of(min_p=0.05),
    of(min_p=0.5),
    of(top_p=0.8, top_k=20),
    of(top_p=0.8, min_p=0.05),
    of(top_k=20, min_p=0.02),
    of(top_p=0.9, top_k=30, min_p=0.01),
]


@pytest.mark.parametrize("temperature", [0.4, 1.0, 1.7])
@pytest.mark.parametrize("decoding", SETTINGS, ids=repr)
def test_every_token_is_drawn_with_its_exact_probability(decoding: Decoding, temperature: float) -> None:
    logits = 2.5 * torch.randn(275, generator=torch.Generator().manual_seed(5))
    wanted = truncated(softmax(logits.tolist(), temperature), decoding)
    made = drawn(logits, Decoding(1, temperature, (1,), decoding.top_p, decoding.top_k, decoding.min_p))
    assert all(count == 0 for count, share in zip(made.tolist(), wanted, strict=True) if not share)
    # an interval of the unit line meets its share of an even grid but for one point, and float32 moves its ends a little
    assert all(abs(count - GRID * share) < 1.1 for count, share in zip(made.tolist(), wanted, strict=True))


@pytest.mark.parametrize("decoding", [s for s in SETTINGS if s.top_p is None or s.min_p is None], ids=repr)
def test_transformers_own_filters_leave_the_same(decoding: Decoding) -> None:
    logits = 2.5 * torch.randn((64, 275), generator=torch.Generator().manual_seed(6))
    scores, ids = logits, torch.zeros((64, 0), dtype=torch.long)
    if decoding.top_k is not None:
        scores = TopKLogitsWarper(decoding.top_k)(ids, scores)
    if decoding.top_p is not None:
        scores = TopPLogitsWarper(decoding.top_p)(ids, scores)
    if decoding.min_p is not None:
        scores = MinPLogitsWarper(decoding.min_p)(ids, scores)
    assert torch.equal(kept(logits.softmax(-1), decoding), scores > -torch.inf)


def test_min_p_comes_before_top_p() -> None:
    probabilities = torch.tensor([[0.5, 0.25, 0.125, 0.125]])  # min_p leaves 0.75, of which the first has two thirds
    assert kept(probabilities, of(top_p=0.65)).tolist() == [[True, True, False, False]]
    assert kept(probabilities, of(top_p=0.65, min_p=0.5)).tolist() == [[True, False, False, False]]


def test_of_equal_tokens_the_lower_ids_are_left() -> None:
    probabilities = torch.tensor([[0.125, 0.25, 0.25, 0.25, 0.125]])
    assert kept(probabilities, of(top_k=2)).tolist() == [[False, True, True, False, False]]
    assert kept(probabilities, of(top_k=4)).tolist() == [[True, True, True, True, False]]
    assert kept(probabilities, of(top_p=0.5)).tolist() == [[False, True, True, False, False]]
    assert kept(probabilities, of(min_p=1.0)).tolist() == [[False, True, True, True, False]]  # a bound: all that reach it
    assert drawn(probabilities[0].log(), of(top_k=1))[1] == GRID


def test_the_first_token_is_always_left_and_the_vocabulary_is_enough() -> None:
    probabilities = torch.tensor([[0.2, 0.5, 0.3]])
    for decoding in (of(top_p=0.1), of(top_p=5e-324), of(top_k=1), of(min_p=1.0)):
        assert kept(probabilities, decoding).tolist() == [[False, True, False]]
    for decoding in (of(top_k=3), of(top_k=4), of(top_k=10**9), of(top_p=1.0), of(top_p=1 - 2**-53), of(min_p=1e-300)):
        assert kept(probabilities, decoding).all()


@pytest.mark.parametrize("decoding", SETTINGS[1:], ids=repr)
def test_logits_that_are_no_numbers_break_nothing(decoding: Decoding) -> None:
    logits = torch.randn((3, 50), generator=torch.Generator().manual_seed(7))
    whole = choose(logits, decoding, torch.full((3,), 0.3, dtype=torch.double))
    logits[1, 4] = torch.nan
    some = choose(logits, decoding, torch.full((3,), 0.3, dtype=torch.double))
    assert some[[0, 2]].tolist() == whole[[0, 2]].tolist()
    assert 0 <= some[1] < 50
    assert all(0 <= token < 50 for token in choose(logits * torch.nan, decoding, torch.zeros(3, dtype=torch.double)))
