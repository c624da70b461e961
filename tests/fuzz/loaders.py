"""Fuzzes what reads files: data files, CSV too, and presets of any bytes give records, problems and options, or one UserError."""

import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["esprobe"]):
    from esprobe.cli.presets.load import load_preset
    from esprobe.errors import UserError
    from esprobe.tasks.countdown.task import Countdown
    from esprobe.tasks.records import load_problems, read_records

RUNS = 200_000
SEEDS = [
    b'[{"numbers": [44, 19, 35], "target": "98", "solution": "44+19+35"}]',
    b'{"nums": [1, 2], "target": 3.5}\n{"numbers": [1], "target": -1e5}\n',
    b'limit = 4\nmodel = "x"\n[sample-temp]\ntemperature = [0.5, 1e1]\n',
    b'numbers,target\r\n"[44, 19, 35]",98\r\n',
    b'{"numbers": [[1, 2], [3, 4]], "target": ["3", "7"]}',
    b'\xef\xbb\xbf[{"numbers": [1, NaN], "target": Infinity, "\\ud800": {}}]',
]


def check(data: bytes) -> None:
    """Reads the bytes as both."""
    task = Countdown()
    FILE.write_bytes(data)
    with suppress(UserError):
        for problem in load_problems(task, FILE):
            assert dict(task.problem(dict(problem.payload)).payload) == problem.payload, "does not read as itself"
            assert len(problem.digest) == 32
            if len(problem.payload["numbers"]) <= 3:
                facts = task.facts(problem)
                assert facts.chance is not None
                assert 0 <= facts.chance <= 1
    TABLE.write_bytes(data)
    with suppress(UserError):
        for where, record in read_records(TABLE):
            assert isinstance(record, dict), where
    with suppress(UserError):
        assert isinstance(load_preset(str(FILE), "sample-temp"), dict)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        FILE, TABLE = Path(folder) / "fuzzed.toml", Path(folder) / "fuzzed.csv"
        corpus = Path(folder) / "seeds"
        corpus.mkdir()
        for i, seed in enumerate(SEEDS):
            (corpus / str(i)).write_bytes(seed)
        words = sys.argv[1:] or [f"-runs={RUNS}", "-max_len=2000"]
        atheris.Setup([sys.argv[0], *words, str(corpus)], check)
        atheris.Fuzz()
