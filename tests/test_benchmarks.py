"""Every benchmark that `make bench` runs is there; whether they run is seen by running them."""

from importlib import import_module

import pytest

from tests.benchmarks.__main__ import MODULES


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_has_rows(name: str) -> None:
    assert callable(import_module(f"tests.benchmarks.{name}").rows)
