# Every target works as the first command on a machine that has only python3 (3.11 or later) and make.
PYTHON ?= python3
BIN := .venv/bin
# The lock names everything; to resolve it again would be slow, and could end elsewhere.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
# Four processes, for two cores: most tests wait for others most of the time.
PYTEST := $(BIN)/python -m pytest --numprocesses=4 --dist=loadgroup
BUILD_PAGES := $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs docs/_build
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## Create .venv with the locked packages, once

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) --require-hashes -r requirements.lock
	$(PIP_INSTALL) --no-build-isolation -e .
	@touch $@

demo: setup ## Run the VQE flow against the emulator; KEEP=1 leaves the servers up
	$(BIN)/python -m demo $(if $(KEEP),--keep)

deploy-local: setup ## Deploy every flow to a server, worker and emulator here; KEEP=1 leaves them up
	$(BIN)/python -m deployments.local $(if $(KEEP),--keep)

test: setup ## Run the tests to run before each commit: ten minutes on two cores
	$(PYTEST) -m "not slow" --junitxml=.durations/test.xml

test-slow: setup ## Run all the others, and those of hypothesis with many more examples
	$(PYTEST) -m "slow or deep" --hypothesis-profile=deep --junitxml=.durations/test-slow.xml

test-ui: setup ## Run the tests in a real browser: Prefect's UI, and the emulator's page
	BROWSER_TESTS=required $(PYTEST) tests/ui

compat: setup ## Run the core tests on old and new Pythons, Prefects and clients: 40 minutes
	$(BIN)/nox

check: setup ## Check format, lint, types and the pages of docs/ (layers and diagrams are tests)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BUILD_PAGES)

bench: setup ## Run the benchmarks of speed, for 40 minutes; keep the machine quiet meanwhile
	$(BIN)/python -m benchmarks.preparing --keep
	$(BIN)/python -m benchmarks.startup --keep
	$(BIN)/python -m benchmarks.peers --keep
	$(BIN)/python -m benchmarks.packing --keep
	$(BIN)/python -m benchmarks.distributed --keep
	$(BIN)/python -m benchmarks.overhead --keep
	$(BIN)/python -m benchmarks.iteration --keep

chaos: setup ## End many flow runs at random and count what is left open; TRIALS=500 takes 25 minutes
	$(BIN)/python -m benchmarks.chaos $(if $(TRIALS),--trials $(TRIALS))

docs: setup ## Redraw the diagrams of docs/, and build its pages into docs/_build
	$(BIN)/python -m docs.diagrams
	$(BIN)/python -m docs.costs
	$(BUILD_PAGES)
	@echo "docs/_build/index.html"

lock: setup ## Resolve requirements.lock anew; needs uv
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-header --no-annotate --output-file requirements.lock pyproject.toml

.PHONY: help setup demo deploy-local test test-slow test-ui compat check bench chaos docs lock
