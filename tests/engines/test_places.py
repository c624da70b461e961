"""A loader is watched once; after that, writing to the places it used makes what the loader makes."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from esprobe.engines.vllm_places import Places

Pairs = Iterator[tuple[str, Tensor]]
CHECKPOINT = {"q": torch.arange(12.0).view(3, 4), "k": torch.arange(8.0).view(2, 4) + 50, "norm": torch.full((4,), 7.0)}


def live() -> dict[str, Tensor]:
    """A model that has q and k in one matrix, with a row to spare."""
    return {"qk": torch.zeros(6, 4), "norm": torch.zeros(4)}


def loader(into: dict[str, Tensor], pairs: Pairs) -> None:
    for name, tensor in pairs:
        rows = {"q": slice(0, 3), "k": slice(3, 5)}.get(name)
        (into["norm"] if rows is None else into["qk"][rows]).copy_(tensor)


def learned(load: Callable[[dict[str, Tensor], Pairs], None]) -> dict[str, Tensor] | None:
    model, places = live(), Places()
    pairs = places.watched((name, tensor.clone()) for name, tensor in CHECKPOINT.items())
    with places:
        load(model, pairs)
    return places.found(model, {name: tensor.numel() for name, tensor in CHECKPOINT.items()})


def test_writing_to_the_places_is_loading() -> None:
    model, loaded, places = live(), live(), Places()
    pairs = places.watched(iter(CHECKPOINT.items()))
    with places:
        loader(model, pairs)
    found = places.found(model, {name: tensor.numel() for name, tensor in CHECKPOINT.items()})
    assert found is not None
    other = {name: tensor * 3 - 1 for name, tensor in CHECKPOINT.items()}
    for name, tensor in other.items():
        found[name].copy_(tensor)
    loader(loaded, iter(other.items()))
    assert all(torch.equal(model[name], loaded[name]) for name in model)


def changes_it(into: dict[str, Tensor], pairs: Pairs) -> None:
    loader(into, ((name, tensor * 2 if name == "k" else tensor) for name, tensor in pairs))


def writes_twice(into: dict[str, Tensor], pairs: Pairs) -> None:
    for name, tensor in pairs:
        loader(into, iter([(name, tensor)]))
        loader(into, iter([(name, tensor)]))


def takes_a_part(into: dict[str, Tensor], pairs: Pairs) -> None:
    for name, tensor in pairs:
        if name == "q":
            into["qk"][:2].copy_(tensor[:2])
        else:
            loader(into, iter([(name, tensor)]))


def turns_it(into: dict[str, Tensor], pairs: Pairs) -> None:
    for name, tensor in pairs:
        if name == "q":
            into["qk"].view(-1)[:12].view(4, 3).copy_(tensor.T)
        else:
            loader(into, iter([(name, tensor)]))


def into_a_copy(into: dict[str, Tensor], pairs: Pairs) -> None:
    loader({name: tensor.clone() for name, tensor in into.items()}, pairs)


def over_each_other(into: dict[str, Tensor], pairs: Pairs) -> None:
    for name, tensor in pairs:
        if name == "k":
            into["qk"][2:4].copy_(tensor)
        else:
            loader(into, iter([(name, tensor)]))


def leaves_one_out(into: dict[str, Tensor], pairs: Pairs) -> None:
    loader(into, (pair for pair in pairs if pair[0] != "norm"))


@pytest.mark.parametrize("load", [changes_it, writes_twice, takes_a_part, turns_it, into_a_copy, over_each_other, leaves_one_out])
def test_a_loader_that_does_more_than_copy_keeps_its_work(load: Callable[[dict[str, Tensor], Pairs], None]) -> None:
    assert learned(loader) is not None
    assert learned(load) is None
