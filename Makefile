# make demo, make test: each sets up everything it needs on a machine with Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
OUT := build/demo
# Of the suite: it waits for other processes most of the time.
WORKERS ?= 4
AZURITE := .cache/azurite
AZURITE_VERSION := 3.37.0
BUNDLE := sls_jupyter/labextension sls_jupyter/lab/page labextension/openapi.json labextension/src/core/api-types.ts
DATA_PATH_TESTS := $(wildcard tests/test_assets_frame*.py) tests/test_data_other_pandas.py

.PHONY: demo test check azurite pandas2 lint types lab bundle bundle-check bench crash fuzz fix lock clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo    the main job, start to end: seal, ask, approve, run, audit (no account, no network after installing)"
	@echo "make test    lint, types and every test; the data path under both supported majors of pandas"
	@echo "make azurite Microsoft's emulator of Azure's storage, for the tests that need one (make test does so where npm is)"
	@echo "make lab     JupyterLab on the example notebooks"
	@echo "make bundle  build the JupyterLab extension anew from labextension/ (needs npm; what it makes is committed)"
	@echo "make bench   ratios against the plain alternative; the panel in a real browser"
	@echo "make crash   kill an authority 50 times under load and look for what is missing"
	@echo "make fuzz    throw bytes at every parser for a while (coverage-guided where atheris is installed)"
	@echo "make fix     what a machine can repair"
	@echo "make lock    write constraints.txt anew: the versions that all of these install"

$(VENV)/.base: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $$($(PYTHON) --version) was found. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing sls_jupyter and what it needs into $(VENV): some 120 packages, one to four minutes …"
	@$(PIP) -e '.[notebooks,sandbox]'
	@touch $@

$(VENV)/.test: $(VENV)/.base
	@echo "Installing what the tests need into $(VENV) …"
	@$(PIP) -e '.[notebooks,sandbox,test,dev]'
	@touch $@

$(VENV)/.lab: $(VENV)/.base
	@echo "Installing JupyterLab into $(VENV) …"
	@$(PIP) -e '.[notebooks,sandbox,lab]'
	@touch $@

$(VENV)-pandas2/.done: tests/pandas2.txt
	@echo "Installing the other major of pandas into $(VENV)-pandas2 …"
	@$(PYTHON) -m venv $(VENV)-pandas2
	@$(VENV)-pandas2/bin/python -m pip install --disable-pip-version-check -r tests/pandas2.txt
	@touch $@

.PHONY: sandbox
sandbox: $(VENV)/.base
	@echo "Looking for a sandbox …"
	@$(BIN)/python -c 'from sls_jupyter.hosts.probing import find_bubblewrap as f; reason = f()[1]; print(reason and \
	  f"NOT ISOLATED: {reason}.\nEverything runs, every card says so, and the isolation tests are skipped.\n" \
	  "Most often the machine forbids user namespaces (a container, or a sysctl of the distribution).", end=reason and "\n")'

azurite: $(AZURITE)/.done-$(AZURITE_VERSION)

$(AZURITE)/.done-$(AZURITE_VERSION):
	@command -v npm >/dev/null || { echo "npm is needed for Azurite (Debian: apt-get install npm)"; exit 1; }
	@echo "Installing Azurite $(AZURITE_VERSION) into $(AZURITE): about a minute, 360 MB …"
	@mkdir -p $(AZURITE)
	@npm install --prefix $(AZURITE) --no-save --ignore-scripts --no-audit --no-fund --loglevel=error azurite@$(AZURITE_VERSION)
	@touch $@

.PHONY: storage
storage:
	@{ command -v npm >/dev/null && $(MAKE) --no-print-directory azurite; } || \
	  echo "No Azurite (npm is missing, or cannot install it): the tests on an emulator of Azure's storage are skipped."

demo: $(VENV)/.base sandbox
	@$(BIN)/python notebooks/run.py quickstart --out $(OUT)

lab: $(VENV)/.lab sandbox
	$(BIN)/jupyter lab notebooks

# What npm installs are the versions of package-lock.json; no package's install script is run.
bundle: $(VENV)/.test
	@command -v npm >/dev/null || { echo "npm is needed to build the extension (Debian: apt-get install npm)"; exit 1; }
	@cd labextension && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@$(BIN)/python -m sls_jupyter.lab.openapi > labextension/openapi.json
	@rm -rf labextension/lib labextension/tsconfig.tsbuildinfo
	@cd labextension && PATH="$(abspath $(BIN)):$$PATH" npm run --silent build

# A developer without Node need not build; CI must, or a bundle could be committed that these sources do not make.
bundle-check:
	@if command -v npm >/dev/null; then \
	  $(MAKE) --no-print-directory bundle && \
	  { git diff --exit-code --stat -- $(BUNDLE) && test -z "$$(git ls-files --others --exclude-standard -- $(BUNDLE))"; } || \
	  { echo "The committed bundle is not what labextension/ makes. Look at git status, and commit what make bundle made."; exit 1; }; \
	elif [ -n "$$CI" ]; then echo "npm is needed to check the JupyterLab extension's bundle."; exit 1; \
	else echo "No npm: that the JupyterLab extension's bundle is what its sources make is not checked."; fi

test: check

check: $(VENV)/.test sandbox storage lint types bundle-check pandas2 guest-image
	@$(BIN)/python -m compileall -q sls_jupyter  # containers and commands start from it, also where Python writes none
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: guest-image
guest-image: $(VENV)/.test
	@$(BIN)/python tests/podman_kit.py

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
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/session.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/lab.py

crash: $(VENV)/.test
	$(BIN)/python benchmarks/crash.py --rounds 50

fuzz: $(VENV)/.test
	$(BIN)/python fuzz/fuzz_parsers.py

lock: $(VENV)/.base
	$(BIN)/python .ci/lock.py

clean:
	rm -rf $(VENV) $(VENV)-pandas2 $(AZURITE) build labextension/node_modules labextension/lib .mypy_cache .ruff_cache .pytest_cache .hypothesis
