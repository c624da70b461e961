"""Coverage-guided fuzzing of what reads strangers' text, by hand: not part of `make test`.

Needs atheris, which is no dependency of ours: `pip install atheris` into an environment of its own, then here

    python -m tests.fuzz.scorers
    python -m tests.fuzz.loaders

Each stops after a bounded number of runs, or as libFuzzer's own options say (`-runs=1000000`, `-max_total_time=300`). What
breaks is printed and left in a file `crash-…`; turn it into an ordinary test.
"""
