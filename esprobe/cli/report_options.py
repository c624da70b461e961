"""The options of `esprobe report` and `explore`: names and help. Knows nothing of what is done with them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from esprobe.cli.app import WHAT_TO_SHOW
from esprobe.methods import NAMES


def _shown(*names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel=WHAT_TO_SHOW, **settings)


def _output(*names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel="Output", **settings)


def _report(*names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel="Other reports", **settings)


KsOption = Annotated[
    list[int] | None,
    _shown(
        "-k",
        min=1,
        help="k of pass@k and vote@k (repeatable); default: 1, 8, 64, 512, 4096 and all draws, for --compare 1, 2, 4, …",
    ),
]
ShownModelOption = Annotated[str | None, _shown(help="Only models whose name contains this, or the one in this folder.")]
ShownMethodsOption = Annotated[list[str] | None, _shown(help=f"Only this method (repeatable): {', '.join(NAMES)}.")]
ShownValuesOption = Annotated[list[float] | None, _shown(help="Only this T or σ (repeatable).")]
PlotsOption = Annotated[
    Path | None,
    _output(metavar="DIR", help="Also save the plots into this folder: PNG, SVG and PDF."),
]
PlotOption = Annotated[
    list[str] | None,
    _output(help="Save only this plot (repeatable), such as pass-at-k-overlaid; without --plots in the current folder."),
]
CompareOption = Annotated[
    bool,
    _report(
        "--compare",
        help="The best temperature arm against the best perturbation arm of each model; with --model NAME@ITERATION a trained "
        "model against its base.",
    ),
]
SelectOption = Annotated[bool, _report("--select", help="What choosing perturbed models on some problems is worth on others.")]
BudgetOption = Annotated[bool, _report("--budget", help="Training, selection, votes and samples at equal numbers of rollouts.")]
MarginOption = Annotated[
    float,
    _report(
        metavar="POINTS", min=0, max=100, help="With --budget: a gain, in percentage points, that would not be worth a training."
    ),
]
TrainFileOption = Annotated[
    Path | None,
    _report(
        metavar="FILE",
        help="File of problems to choose models and settings on, apart from those to test; default: with --select random halves, "
        "with --budget what the base alone has answered.",
    ),
]
PageFileOption = Annotated[Path, _output("--out", help="The HTML file; an existing one is replaced.")]
ShowPageOption = Annotated[bool, _output("--open", help="Open it in the browser.")]
PerCellOption = Annotated[
    int,
    _output("--rollouts-per-cell", min=0, envvar="ESPROBE_ROLLOUTS_PER_CELL", help="Texts shown per arm and problem, at most."),
]
PageArmsOption = Annotated[list[int] | None, _shown("--arm", help="Only the arm with this id, see `esprobe arms` (repeatable).")]
ShownArmsOption = Annotated[
    list[int] | None,
    _shown(
        "--arm",
        help="Only the arm with this id, see `esprobe arms` (repeatable); with --compare the two arms to compare, with --select "
        "one population together.",
    ),
]
