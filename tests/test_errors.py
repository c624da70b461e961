"""An error of a library becomes a part of one line, cut where a reader would cut it."""

import pytest

from esprobe.errors import one_line, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short", "short"),
        ("One sentence. Then set 'HF_HUB_OFFLINE", "One sentence."),
        ("words without a full stop in reach", "words without a full …"),
        ("x" * 60, "x" * 23 + " …"),
    ],
    ids=["whole", "sentences", "words", "one word"],
)
def test_a_long_text_is_cut_at_the_end_of_a_sentence_or_a_word(text: str, shown: str) -> None:
    assert shortened(text, 25) == shown
    assert len(shown) <= 25


def test_the_first_line_of_an_error_is_its_line() -> None:
    assert one_line(ValueError("\nfirst\nsecond")) == "first"
    assert one_line(ValueError("what follows:\nthe cause\nmore")) == "what follows: the cause"
    assert one_line(ValueError()) == "ValueError"
