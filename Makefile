# Needs Python 3.11 to 3.13 as python3 (or PYTHON=...). Everything else is set up in .venv, once.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
PEERS := .venv-parity
DRIVER := .venv-browser
export OMP_WAIT_POLICY ?= PASSIVE
export PYTHONDONTWRITEBYTECODE :=

# the test files with these words: pytest imports no other
holding = $(shell grep -rlE "$(1)" tests --include="test_*.py")

.PHONY: compare test parity peers browser gpu lint docs clean

compare: $(STAMP)  ## the main job: error against evaluations on a real network
	$(BIN)/flowsolve compare

test: $(STAMP)  ## every test that this machine can run
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not alone and not parity and not browser"
	$(BIN)/python -m pytest -m alone $(call holding,mark\.alone)

parity: $(PEERS)/.installed  ## the same numbers as diffusers, k-diffusion, azula, torch-fidelity, ..., which .venv never sees
	PYTHONPATH=$(PEERS) $(BIN)/python -c "from diffusers import DDIMScheduler; import torchsde"
	PYTHONPATH=$(PEERS) $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -rs -m parity $(call holding,mark\.parity|k_sampling)

peers: $(PEERS)/.installed  ## docs/peer_orders.md anew: the orders of other packages' samplers; some five minutes
	PYTHONPATH=$(PEERS) $(BIN)/python benchmarks/peer_orders.py --markdown docs/peer_orders.md

browser: $(DRIVER)/.installed  ## the explorer's page, operated in Chromium (Debian: chromium, chromium-driver)
	PYTHONPATH=$(DRIVER) $(BIN)/python -m pytest -rs -m browser $(call holding,mark\.browser)

gpu:  ## the tests marked gpu and the step's cost, on a CUDA device; nothing is installed; WHEELS=folder
	PYTHONPATH=.:solvers $(PYTHON) benchmarks/gpu_check.py $(if $(WHEELS),--wheels $(WHEELS))

lint: $(STAMP)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)  ## HTML in docs/_build/html: executes the lessons and the gallery, then checks links and anchors
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]"
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/check_site.py docs/_build/html

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[test]"
	touch $@

$(PEERS)/.installed: $(STAMP) constraints-parity.txt
	rm -rf $(PEERS)
	$(BIN)/python -m pip install -q --no-deps --ignore-requires-python --target $(PEERS) -r constraints-parity.txt
	touch $@

$(DRIVER)/.installed: $(STAMP) constraints-browser.txt
	rm -rf $(DRIVER)
	$(BIN)/python -m pip install -q --no-deps --target $(DRIVER) -r constraints-browser.txt
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(DRIVER) docs/_build docs/learn docs/gallery dist build
