"""The rows of a batch: tokens, ends and the reasons for them, also of rows that have left."""

import numpy as np

from esprobe.engines.backend import Generation
from esprobe.engines.rows import Rows

END, NAN = 9, ~4  # NAN: token 4 of a model whose output was not a number


def test_each_row_has_its_tokens_up_to_its_end_and_the_reason() -> None:
    rows = Rows([4, 2, 4, 4, 3], (8, END))
    assert rows.add(np.array([1, 2, END, NAN, 3]))
    assert rows.going.tolist() == [True, True, False, False, True]
    assert rows.keep().tolist() == [0, 1, 4]
    assert rows.add(np.array([5, END, 6]))  # row 1 ends at its limit with an end token
    assert not rows.add(np.array([8, 7, 6]))  # row 1 has ended and not left: what it is given does not count
    assert rows.alive[rows.going].tolist() == []
    assert rows.generations() == [
        Generation([1, 5, 8], "stop"),
        Generation([2, END], "stop"),
        Generation([END], "stop"),
        Generation([4], "nan"),
        Generation([3, 6, 6], "length"),
    ]


def test_without_end_tokens_every_row_gets_its_limit() -> None:
    rows = Rows([1, 2], ())
    assert rows.add(np.array([3, 4]))
    assert not rows.add(np.array([5, 6]))
    assert rows.generations() == [Generation([3], "length"), Generation([4, 6], "length")]
