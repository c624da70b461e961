"""Fresh problems that no bundled model was trained on: `python -m esprobe.bundled.problems --help`.

The problems that `esprobe train` takes by default were made by it too (seed 11), without those of the published file, and are
left out of all others since. Knows what `train` was fed by default. Must not know a model.
"""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from esprobe.tasks.countdown import generate
from esprobe.tasks.countdown.task import Countdown

TRAINING_SEED = 2  # of the problems that `train` takes with its own default seed
TRAINED_ON = 62_000  # the first so many of them, and some more: those that are held out are skipped


def fresh(count: int, seed: int) -> list[generate.Made]:
    """Solvable problems, none of them bundled or trained on, half with 3 and half with 4 numbers."""
    task = Countdown()
    known = {generate.key(p.payload["numbers"], p.payload["target"]) for p in (*task.own(None), *task.training(None))}
    known |= {made.key for made in islice(generate.generate(TRAINING_SEED), TRAINED_ON)}
    return list(islice(generate.generate(seed, exclude=known), count))


def main(
    out: Annotated[Path, typer.Option(help="The file to write, as JSON Lines.")],
    count: Annotated[int, typer.Option(min=1, envvar="ESPROBE_PROBLEMS", help="How many problems.")] = 1000,
    seed: Annotated[int, typer.Option(help="Another seed gives other problems; not 2, from which the models learnt.")] = 7,
) -> None:
    """Writes Countdown problems that the bundled models have never seen, nor `esprobe train` by default."""
    out.write_text("".join(json.dumps(made.record) + "\n" for made in fresh(count, seed)))
    print(f"{count:,} problems written to {out}")


if __name__ == "__main__":
    typer.run(main)
