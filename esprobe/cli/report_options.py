"""The options of `esprobe report`: names and help. Knows nothing of what is done with them."""

from pathlib import Path
from typing import Annotated

import typer

KsOption = Annotated[list[int] | None, typer.Option("-k", min=1, help="A k of pass@k (repeatable).")]
ShownModelOption = Annotated[str | None, typer.Option(help="Only models whose name contains this.")]
ShownMethodsOption = Annotated[list[str] | None, typer.Option(help="Only this method (repeatable).")]
ShownValuesOption = Annotated[list[float] | None, typer.Option(help="Only this T or σ (repeatable).")]
PlotsOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Also save the plots into this folder, as PNG and SVG.")]
CompareOption = Annotated[
    bool,
    typer.Option(
        "--compare",
        help="The best temperature arm against the best perturbation arm of each model; with --model NAME@ITERATION a trained "
        "model against its base.",
    ),
]
SelectOption = Annotated[
    bool, typer.Option("--select", help="What choosing perturbed models on some problems is worth on others.")
]
BudgetOption = Annotated[
    bool, typer.Option("--budget", help="Training, selection, votes and samples at equal numbers of rollouts.")
]
MarginOption = Annotated[
    float, typer.Option(metavar="POINTS", min=0, max=100, help="With --budget: a difference that needs no training.")
]
TrainFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --select: the problems to choose on; random halves without it. With --budget: what is not tested.",
    ),
]
ShownArmsOption = Annotated[
    list[int] | None,
    typer.Option(
        "--arm",
        help="Only this arm_id (repeatable); with --compare the two arms to compare, with --select one population together.",
    ),
]
