"""Which plots each report has, by name, so that a name that is none can be refused before anything is read.

Knows the modules that draw them. Must not know data.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from esprobe.report.plots import budget, save, selection
from esprobe.report.plots.output import wanted

Report = Literal["", "--select", "--budget"]  # `report --compare` has the plots of `report`

PLOTS: Mapping[Report, Sequence[str]] = {
    "": [*save.PLOTS, save.MODELS],
    "--select": list(selection.PLOTS),
    "--budget": [budget.PLOT],
}


def check_names(report: Report, names: Sequence[str]) -> None:
    """Raises UserError for a name that is no plot of this report."""
    wanted(PLOTS[report], names)
