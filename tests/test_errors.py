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


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("\nit broke\nat once", "it broke"),
        ("1 validation error for ModelConfig\n  Value error, 3 heads\n    For further information", "Value error, 3 heads"),
        ("\n  Class validation error:\n  4 layers and 3 types\nmore", "Class validation error: 4 layers and 3 types"),
        ("announced:", "announced:"),
        ("", "ValueError"),
    ],
)
def test_a_librarys_error_is_one_line_that_says_something(said: str, line: str) -> None:
    assert one_line(ValueError(said)) == line
