# Each target sets up what it needs; see README.md.
SHELL := /bin/bash
BIN := .venv/bin
PYTHON_SOURCES := shared device host benchmarks tests

.PHONY: help prepare demo test check lint format types unit people faults bench soak soak-short pi pi-stop hardware clean
NAME := pi

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

prepare: ## Install what everything else needs into .venv
	@scripts/prepare.sh

demo: prepare ## Train, compress, push and predict on real footage, ten minutes
	@$(BIN)/tartlet demo

test: lint types ## Lint, types, every test, and ten minutes of everything at once
	@$(BIN)/python -m pytest --ignore=tests/system/pi -n 2 --dist loadfile
	@$(BIN)/python -m pytest tests/system/pi -n 2 --dist loadfile
	@$(BIN)/python -m benchmarks.soak --minutes 10

check: lint types unit ## The inner loop: lint, types and quick tests, under two minutes

lint: prepare ## Style and import rules
	@$(BIN)/ruff check $(PYTHON_SOURCES)
	@$(BIN)/ruff format --check --quiet $(PYTHON_SOURCES)
	@$(BIN)/lint-imports --no-cache --no-logo

types: prepare ## mypy, strict
	@$(BIN)/mypy shared device host benchmarks tests/system/pi tests/system/virtual_pi tests/hardware

unit: prepare ## Tests without training and without servers
	@$(BIN)/python -m pytest -q -m "not training and not system"

format: prepare ## Bring the sources into the house's form
	@$(BIN)/ruff check --fix $(PYTHON_SOURCES)
	@$(BIN)/ruff format $(PYTHON_SOURCES)

people: prepare ## Make the model of models/people as it was measured, half an hour
	@$(BIN)/tartlet demo --data models/people/data
	@$(BIN)/tartlet run models/people/recipe.toml

faults: prepare ## Kill, cut, fill and falsify a push wherever it can be; five minutes
	@$(BIN)/python -m benchmarks message_kills rubbish push_faults

bench: prepare ## Print every figure beside its goal; writes runs/bench.json
	@$(BIN)/python -m benchmarks

soak: prepare ## The whole device at full rate with every output on; MINUTES=60
	@$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),60)

soak-short: prepare ## The same for ten minutes
	@$(BIN)/python -m benchmarks.soak --minutes 10

pi: prepare ## Start a virtual Raspberry Pi and say how to reach it; NAME=b for a second
	@$(BIN)/python -m tests.system.virtual_pi start $(NAME)

pi-stop: ## Stop it, and delete what it wrote
	@$(BIN)/python -m tests.system.virtual_pi stop $(NAME)

hardware: prepare ## Tests on a real Pi: make hardware PI=pi@host (see tests/hardware)
	@TARTLET_PI="$(PI)" $(BIN)/python -m pytest tests/system/pi tests/hardware

clean: ## Remove what was built, keep runs/
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
