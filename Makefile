# Every target does its own set-up in .venv, with the versions of .ci/constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO := $(BIN)/esprobe --db .demo/demo.db

.PHONY: demo test lint bench clean

demo: $(READY)
	@mkdir -p .demo
	HF_HUB_OFFLINE=1 $(DEMO) sample-temp --limit 64
	HF_HUB_OFFLINE=1 $(DEMO) sample-perturb --limit 64
	$(DEMO) report

test: $(READY)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2 --ignore tests/vllm

lint: $(READY)
	$(BIN)/ruff check esprobe migrations tests
	$(BIN)/ruff format --check esprobe migrations tests
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m tests.benchmarks.scorer

$(READY): pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt torch
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $(READY)

clean:
	rm -rf .venv .demo
