"""Both scorers beside the published rule (regex, sorted numbers, eval) on ordinary answers, side by side in one process.

Run it with `make bench`, or `python -m tests.benchmarks.scorer`.
"""

import statistics
import time
from collections.abc import Callable
from itertools import islice

from esprobe.countdown.generate import generate
from esprobe.countdown.scorers import countdown, countdown_published
from tests.published import published_rule

ROUNDS = 15


def main() -> None:
    """Prints microseconds per answer, median of the rounds, and the ratio to the published rule."""
    answers = []
    for made in islice(generate(1), 2000):
        text = "\n" + "\n".join(made.steps) + f"\n</think>\n<answer> {made.solution} </answer>"
        answers.append(({"numbers": list(made.numbers), "target": made.target}, text))
    judges: dict[str, Callable[[dict[str, object], str], bool]] = {
        "published rule": published_rule,
        "countdown": lambda problem, text: countdown(problem, text).correct,
        "countdown-published": lambda problem, text: countdown_published(problem, text).correct,
    }
    times: dict[str, list[float]] = {name: [] for name in judges}
    for _ in range(ROUNDS):  # in turns, so that whatever else the machine does meets all alike
        for name, judge in judges.items():
            begun = time.perf_counter()
            assert all(judge(problem, text) for problem, text in answers)
            times[name].append((time.perf_counter() - begun) / len(answers) * 1e6)
    reference = statistics.median(times["published rule"])
    print(f"{'scorer':22}{'µs an answer':>14}{'speed beside the published rule':>34}")
    for name, measured in times.items():
        print(f"{name:22}{statistics.median(measured):14.1f}{reference / statistics.median(measured):33.2f}x")


if __name__ == "__main__":
    main()
