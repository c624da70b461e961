"""A small training of two seeds by the installed command, with what its base has sampled on the same problems."""

import json
from pathlib import Path

SMALL = ("--max-new-tokens", "40")
_TEMPERATURES = ("-T", "0.8,1.2")
_SETTINGS = ("--iterations", 2, "--population", 4, "--problems-per-iteration", 3, "--sigma", 0.02, "--seed", "1,2")


def problems(path: Path, first: int, count: int) -> Path:
    """A file of easy problems, each another one."""
    records = [{"numbers": [i, i + 3, 5], "target": str(2 * i + 8)} for i in range(first, first + count)]
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def commands(folder: Path) -> list[tuple[object, ...]]:
    """A base sampled on 6 problems to choose on and on 8 to test on, and what was trained on the 6."""
    train, test = problems(folder / "train.jsonl", 1, 6), problems(folder / "test.jsonl", 30, 8)
    return [
        ("train", "--data", train, *_SETTINGS, "--evaluate-every", 1, "--test-data", test, "-T", 0.8, "-n", 2, *SMALL),
        *(("sample-temp", "--data", data, *_TEMPERATURES, "-n", 4, *SMALL) for data in (train, test)),
        *(("sample-perturb", "--data", data, "--sigma", 0.01, "-n", 4, *SMALL) for data in (train, test)),
    ]
