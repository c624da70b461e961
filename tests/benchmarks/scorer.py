"""Both scorers compared with the published rule (regex, sorted numbers, eval) on ordinary answers, side by side in one process.

Run it with `make bench`, or `python -m tests.benchmarks.scorer`.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import islice

from esprobe.tasks.countdown.generate import generate
from esprobe.tasks.countdown.scorers import countdown, countdown_published
from tests.benchmarks.table import Row, in_turns, ratio, render
from tests.helpers.published import published_rule

ROUNDS = 15


def rows() -> list[Row]:
    """A row a scorer: microseconds an answer."""
    answers = []
    for made in islice(generate(1), 2000):
        text = "\n" + "\n".join(made.steps) + f"\n</think>\n<answer> {made.solution} </answer>"
        answers.append(({"numbers": list(made.numbers), "target": made.target}, text))
    judges: dict[str, Callable[[dict[str, object], str], bool]] = {
        "published rule": published_rule,
        "countdown": lambda problem, text: countdown(problem, text).correct,
        "countdown-published": lambda problem, text: countdown_published(problem, text).correct,
    }

    def judge_all(judge: Callable[[dict[str, object], str], bool]) -> float:
        begun = time.perf_counter()
        assert all(judge(problem, text) for problem, text in answers)
        return (time.perf_counter() - begun) / len(answers) * 1e6

    times = in_turns({name: partial(judge_all, judge) for name, judge in judges.items()}, ROUNDS)
    published = times.pop("published rule")
    return [
        Row(f"scorer {name}", statistics.median(t), "µs", "published rule", statistics.median(published), ratio(published, t))
        for name, t in times.items()
    ]


def main() -> None:
    """Prints the rows alone."""
    print(render(rows()))


if __name__ == "__main__":
    main()
