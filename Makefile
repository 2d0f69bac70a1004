# Every target sets up what it needs: the virtual environment is made once, and again only when setup.cfg changes.
PYTHON ?= python3.11
PYTHON := $(shell command -v $(PYTHON) 2>/dev/null || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test chaos check bench clean
help:  ## what there is
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.base: setup.cfg pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing lakeflow_job_meta into $(VENV) …"
	@$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/.test: $(VENV)/.base
	@echo "Installing the test tools …"
	@$(BIN)/python -m pip install -q -e '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo "Installing the development tools …"
	@$(BIN)/python -m pip install -q -e '.[test,dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.base
	@echo "Installing what draws the plot …"
	@$(BIN)/python -m pip install -q -e '.[bench]'
	@touch $@

demo: $(VENV)/.base  ## the main job, from YAML to jobs, on this machine alone
	@$(BIN)/python examples/demo.py

test: $(VENV)/.test  ## all tests; PYTEST=… adds arguments
	@$(BIN)/python -m pytest -q -n auto $(if $(CI),-rs,) $(PYTEST)

chaos: $(VENV)/.test  ## every kill point and contest; about 25 minutes
	@$(BIN)/python -m tests.chaos --all

check: $(VENV)/.dev  ## style, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: $(VENV)/.bench  ## measure: requests, CPU, memory, commits; about half an hour
	@$(BIN)/python -m benchmarks --modules 10 100 1000 10000 --latency-ms 0 50 --repeat 3 --save

clean:  ## remove what the targets made
	rm -rf $(VENV) .lakeflow build dist *.egg-info .pytest_cache .ruff_cache
