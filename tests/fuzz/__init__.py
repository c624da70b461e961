"""Coverage-guided fuzzing of what reads strangers' text, by hand: not part of `make test`.

Needs atheris, which esprobe does not depend on: `pip install atheris` into a separate environment, then here

    python -m tests.fuzz.scorers
    python -m tests.fuzz.loaders
    python -m tests.fuzz.answers
    python -m tests.fuzz.libraries

Each stops after a bounded number of runs, or as libFuzzer's own options say (`-runs=1000000`, `-max_total_time=300`). What
breaks is printed and left in a file `crash-…`; turn it into an ordinary test.
"""
