# Every target sets up what it needs: the virtual environment is made once, and again only when setup.cfg changes.
PYTHON ?= python3.11
PYTHON := $(shell command -v $(PYTHON) 2>/dev/null || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -q -c tests/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK = 1

JARS := .cache/jars

.PHONY: help demo test coverage jars chaos check bench clean
help:  ## what there is
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.base: setup.cfg pyproject.toml tests/constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing lakeflow_job_meta into $(VENV) …"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.base
	@echo "Installing the test tools …"
	@$(INSTALL) -e '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo "Installing the development tools …"
	@$(INSTALL) -e '.[test,dev]'
	@touch $@

$(VENV)/.spark: $(VENV)/.test
	@echo "Installing Spark and the warehouse driver …"
	@$(INSTALL) -e '.[test,spark,warehouse]'
	@touch $@

$(JARS)/delta: tests/parity/java/pom.xml
	@echo "Fetching Delta's jars …"
	@mvn -q -B -f $< dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(JARS)
	@touch $@

$(JARS)/parity.jar: $(wildcard tests/parity/java/*.java) $(JARS)/delta $(VENV)/.spark
	@classes=$$(mktemp -d) && spark=$$($(BIN)/python -c 'import pyspark; print(pyspark.__path__[0])') \
	  && javac -nowarn -cp "$$spark/jars/*:$(JARS)/*" -d $$classes $(filter %.java,$^) && jar cf $@ -C $$classes . ; \
	  status=$$?; rm -rf $$classes; exit $$status

$(VENV)/.bench: $(VENV)/.base
	@echo "Installing what draws the plot …"
	@$(INSTALL) -e '.[bench]'
	@touch $@

demo: $(VENV)/.base  ## the main job, from YAML to jobs, on this machine alone
	@$(BIN)/python examples/demo.py

test: $(VENV)/.test  ## all tests; PYTEST=… adds arguments
	@$(BIN)/python -m tests $(if $(CI),-rs,) $(PYTEST)

coverage: $(VENV)/.test  ## how much of the source stage its tests run; fails under 85 %
	@mkdir -p .cache
	@COVERAGE_FILE=.cache/coverage $(BIN)/python -m coverage run --source=lakeflow_job_meta.stages \
	  -m pytest -q tests/test_contract_compliance.py tests/acceptance/test_source_stage*.py tests/acceptance/test_stage_task.py
	@COVERAGE_FILE=.cache/coverage $(BIN)/python -m coverage report --skip-covered --fail-under=85

jars: $(JARS)/parity.jar  ## what the tests on Spark and a warehouse need beside Java 17 and Maven

chaos: $(VENV)/.test  ## every kill point and contest; about half an hour
	@$(BIN)/python -m tests.chaos --all

check: $(VENV)/.dev $(VENV)/.spark  ## style, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: $(VENV)/.bench  ## measure: requests, CPU, memory, commits; about half an hour
	@$(BIN)/python -m benchmarks --modules 10 100 1000 10000 --latency-ms 0 50 --repeat 3 --save

clean:  ## remove what the targets made
	rm -rf $(VENV) $(JARS) .lakeflow build dist *.egg-info .pytest_cache .ruff_cache
