"""What the tests of engines share: Ray, or the reason why a test that needs it is skipped."""

from importlib.util import find_spec

import pytest

from tests.conftest import lacking


@pytest.fixture(scope="session")
def ray() -> None:
    if find_spec("ray") is None:
        lacking("ray: pip install esprobe[ray]")
