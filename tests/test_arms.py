"""What a model's name says of its training."""

import pytest

from esprobe.arms import trained_name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("es@12", ("es", 12)),
        ("es-1@0", ("es-1", 0)),
        ("a@b@3", ("a@b", 3)),
        ("countdown-tiny", ("countdown-tiny", None)),
        ("es@", ("es@", None)),
        ("es@-1", ("es@-1", None)),
        ("es@last", ("es@last", None)),
    ],
)
def test_only_a_number_after_an_at_sign_is_an_iteration(name: str, said: tuple[str, int | None]) -> None:
    assert trained_name(name) == said
