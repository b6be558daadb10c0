# make demo, make test: each sets up everything it needs on a machine with Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT := build/demo
DATA_PATH_TESTS := $(wildcard tests/test_assets_frame*.py) tests/test_data_other_pandas.py

.PHONY: demo test check pandas2 lint types lab bench crash fuzz fix clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo    the main job, start to end: seal, ask, approve, run, audit (no account, no network after installing)"
	@echo "make test    lint, types and every test; the data path under both supported majors of pandas"
	@echo "make lab     JupyterLab on the example notebooks"
	@echo "make bench   ratios against the plain alternative"
	@echo "make crash   kill an authority 50 times under load and look for what is missing"
	@echo "make fuzz    throw bytes at every parser for a while (coverage-guided where atheris is installed)"
	@echo "make fix     what a machine can repair"

$(VENV)/.base: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $$($(PYTHON) --version) was found. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[notebooks,sandbox]'
	@touch $@

$(VENV)/.test: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[notebooks,sandbox,test,dev]'
	@touch $@

$(VENV)/.lab: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[notebooks,sandbox,lab]'
	@touch $@

$(VENV)-pandas2/.done: tests/pandas2.txt
	$(PYTHON) -m venv $(VENV)-pandas2
	$(VENV)-pandas2/bin/python -m pip install --quiet --disable-pip-version-check -r tests/pandas2.txt
	@touch $@

.PHONY: sandbox
sandbox: $(VENV)/.base
	@$(BIN)/python -c 'from sls_jupyter.hosts.probing import find_bubblewrap as f; reason = f()[1]; print(reason and \
	  f"NOT ISOLATED: {reason}.\nEverything runs, every card says so, and the isolation tests are skipped.\n" \
	  "Most often the machine forbids user namespaces (a container, or a sysctl of the distribution).", end=reason and "\n")'

demo: $(VENV)/.base sandbox
	@$(BIN)/python notebooks/run.py quickstart --out $(OUT)

lab: $(VENV)/.lab sandbox
	$(BIN)/jupyter lab notebooks

test: check

check: $(VENV)/.test sandbox lint types pandas2
	$(BIN)/python -m pytest -n 2 --dist loadfile

pandas2: $(VENV)-pandas2/.done
	PYTHONPATH=. $(VENV)-pandas2/bin/python -m pytest -p no:cacheprovider $(DATA_PATH_TESTS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

fix: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test sandbox
	$(BIN)/python benchmarks/seal.py
	$(BIN)/python benchmarks/shapes.py
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/verify.py
	$(BIN)/python benchmarks/receipt.py
	$(BIN)/python benchmarks/log.py
	$(BIN)/python benchmarks/authority.py

crash: $(VENV)/.test
	$(BIN)/python benchmarks/crash.py --rounds 50

fuzz: $(VENV)/.test
	$(BIN)/python fuzz/fuzz_parsers.py

clean:
	rm -rf $(VENV) $(VENV)-pandas2 build .mypy_cache .ruff_cache .pytest_cache .hypothesis
