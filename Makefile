# Needs Python 3.11 to 3.13 as python3 (or PYTHON=...). Everything else is set up in .venv, once.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: compare test lint docs clean

compare: $(STAMP)  ## the main job: error against evaluations on a real network
	$(BIN)/flowsolve compare

test: $(STAMP)  ## every test that this machine can run
	$(BIN)/python -m pytest

lint: $(STAMP)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)  ## HTML in docs/_build/html
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]"
	$(BIN)/python -m sphinx -W -b html docs docs/_build/html

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) docs/_build dist build
