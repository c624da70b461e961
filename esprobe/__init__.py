"""Does evolution-strategies fine-tuning find anything that sampling the base model would not? esprobe measures it.

`esprobe.results("esprobe.db")` gives what was measured as lists of named rows, which `pandas.DataFrame` takes as they are.
"""

import os
from typing import TYPE_CHECKING

from esprobe.version import __version__

if TYPE_CHECKING:
    from esprobe.analysis.results import Results

__all__ = ["__version__", "results"]


def results(path: "str | os.PathLike[str]" = "esprobe.db") -> "Results":
    """The results in a database, to be asked in Python; see `Results`. It is only read."""
    from pathlib import Path

    from esprobe.analysis.results import Results  # loads sqlite3, which `import esprobe` must not

    return Results(Path(path))
