# Everything works from nothing but python3 and make: each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: demo test check bench interop docs wheel clean

demo: $(VENV)/.demo
	@$(BIN)/python examples/demo.py

test: $(STAMP) wheel
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(BIN)/python -m pytest $(TESTS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall .
	$(BIN)/pyright --ignoreexternal --verifytypes venice_ai

bench: $(STAMP)
	$(BIN)/python -m benchmarks --write docs/performance.md

interop: $(STAMP) wheel
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(BIN)/python -m pytest -c pyproject.toml tests/interop

wheel: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(STAMP): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --group check hatchling build ".[cli]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) .bench .interop dist build
