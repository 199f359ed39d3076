PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Empty, so that the hundreds of processes of the tests do not compile the code anew where it is set.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help test fast-tests test-all test-attacks test-browser lint fix docs demo bench clean
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

test: $(VENV)/.dev ## Lint, types and fast tests
	$(MAKE) --no-print-directory -j2 lint fast-tests

fast-tests: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

test-all: $(VENV)/.dev lint ## The same with the slow tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal -m ""

test-attacks: $(VENV)/.dev ## What strangers send: stores, images, encoders, archives, runs, names
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal -m "not browser" tests/featurestore/attacks tests/trainers/attacks

test-browser: $(VENV)/.dev ## Draw the report and the gallery in Chromium and look at them (needs chromium and chromium-driver)
	$(BIN)/pytest -m browser

lint: $(VENV)/.dev ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.dev ## Put style right where that can be done by rule
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## Write the generated parts of docs/reference anew
	$(BIN)/python -m docs.generator

demo: $(VENV)/.demo ## Train, export, index, measure and search handwritten digits
	$(BIN)/featurestore demo --out demo

bench: $(VENV)/.dev ## Measure quality on CIFAR-10 (DATA=folder with train/ and test/); for all benchmarks see benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.evaluation.quality $(DATA)

clean: ## Remove what the targets made
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache build *.egg-info

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $(VENV)/.dev $(VENV)/.demo

$(VENV)/.demo: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[demo]'
	touch $(VENV)/.demo
