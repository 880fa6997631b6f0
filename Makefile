# Every target works as the first command on a machine that has only python3 (3.11 or later) and make.
PYTHON ?= python3
BIN := .venv/bin
# The lock names everything; to resolve it again would be slow, and could end elsewhere.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## Create .venv with the locked packages, once

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) --require-hashes -r requirements.lock
	$(PIP_INSTALL) --no-build-isolation -e .
	@touch $@

demo: setup ## Run the VQE flow against the emulator; KEEP=1 leaves the servers up
	$(BIN)/python -m demo $(if $(KEEP),--keep)

test: setup ## Run every test
	$(BIN)/python -m pytest

check: setup ## Check format, lint and types (layers and diagrams are tests)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup ## Run every benchmark, for some minutes; keep the machine quiet meanwhile
	$(BIN)/python -m benchmarks.iteration

docs: setup ## Redraw the diagrams of docs/ from the tables in the code
	$(BIN)/python -m docs.diagrams

lock: setup ## Resolve requirements.lock anew; needs uv
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-header --no-annotate --output-file requirements.lock pyproject.toml

.PHONY: help setup demo test check bench docs lock
