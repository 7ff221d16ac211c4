# `make quickstart` and `make test` need only make and a Python (3.11 or newer) that can make virtual
# environments; everything else they install into $(VENV), by pip and as your pip is configured.
#
#   make test ARGS="tests/cache -k tags"         part of the suite, no coverage
#   make test PYTHON=python3.13 VENV=.venv-3.13  another Python

VENV ?= .venv
ARGS ?=
PYTHONS = python3 python3.15 python3.14 python3.13 python3.12 python3.11
# The first of $(PYTHONS) that runs and is new enough; a pyenv shim may exist and still not run.
PYTHON ?= $(shell for python in $(PYTHONS); do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
OTHER_PYTHONS ?= 3.12 3.13 3.14 3.15

RUN = $(VENV)/bin/python
INSTALL = $(RUN) -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS:%=--constraint %)
COVERAGE ?= $(if $(ARGS),--no-cov,--cov)
# Other versions are about other versions: what hypothesis may find, `make test` has looked for at length.
AGAIN = HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-brief}
# Much of the suite waits for servers, so two processes are faster even where there are only two cores.
WORKERS ?= $(if $(ARGS),0,auto)

.PHONY: help quickstart test lint type docs bench lowest matrix build clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1#/p' Makefile | awk -F'#' '{printf "%-20s %s\n", $$1, $$2}'

quickstart: $(VENV)/.runtime ## run the example of the main job (ARGS= are its arguments)
	@$(RUN) examples/quickstart.py $(ARGS)

test: $(VENV)/.test ## run the suite with its own servers (ARGS= select tests), coverage at least 95 %
	@$(RUN) -m pytest --numprocesses $(WORKERS) --maxprocesses 4 $(COVERAGE) $(ARGS)

lint: $(VENV)/.dev ## ruff, formatting, spelling, the time that imports take
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check --quiet
	@$(RUN) -m codespell_lib --toml pyproject.toml
	@$(RUN) -m tests.architecture.import_time

type: $(VENV)/.dev ## mypy and basedpyright, strict; every public name completely typed
	@$(RUN) -m mypy
	@$(RUN) -m basedpyright
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(RUN) -m basedpyright --verifytypes scalekit --ignoreexternal \
		> $(VENV)/types.txt || { cat $(VENV)/types.txt; exit 1; }
	@grep "completeness score" $(VENV)/types.txt

docs: $(VENV)/.dev ## build the documentation into site/
	@$(RUN) -m zensical build --clean --strict

bench: $(VENV)/.bench ## run the benchmarks against the named peers (ARGS= are their arguments)
	@$(RUN) benchmarks/run.py $(ARGS)

lowest: $(VENV)/.test ## run the suite with the oldest dependencies that pyproject.toml allows
	@$(RUN) .ci/floors.py > $(VENV)/floors.txt
	@$(AGAIN) $(MAKE) --no-print-directory test PYTHON="$(PYTHON)" VENV=.venv-lowest COVERAGE=--no-cov \
		CONSTRAINTS=$(VENV)/floors.txt

# Most of what is slow waits for servers to die and to come back, which `make test` and `make lowest` do already.
matrix: ## run the suite, but for what is slow, on every other Python found here
	@for version in $(OTHER_PYTHONS); do \
		python=$$(.ci/python $$version) || { echo "Python $$version: not here"; continue; }; \
		echo "Python $$version: $$python"; \
		$(AGAIN) PYTEST_ADDOPTS="$$PYTEST_ADDOPTS -m 'not slow'" \
			$(MAKE) --no-print-directory test PYTHON="$$python" VENV=.venv-$$version COVERAGE=--no-cov || exit 1; \
	done

build: $(VENV)/.dev ## build the wheel, install it elsewhere and run the example with it
	@rm -rf build dist
	@$(RUN) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@mkdir -p build/empty
	@"$(PYTHON)" -m venv build/venv
	@build/venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(echo dist/*.whl)[redis,sqlalchemy,images,msgspec]"
	@cd build/empty && ../venv/bin/python -I "$(CURDIR)/examples/quickstart.py"

clean: ## remove what the targets made
	@rm -rf .venv .venv-lowest $(OTHER_PYTHONS:%=.venv-%) build dist site .coverage .coverage.* .hypothesis \
		.mypy_cache .pytest_cache .ruff_cache .cache
	@find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp per set of packages, so that a second run installs nothing.

$(VENV)/.python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "scalekit needs Python 3.11 or newer, and found none of: $(PYTHONS)." \
			"Install one, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "scalekit needs Python 3.11 or newer; $(PYTHON) is older or does not run." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: sudo apt install python3-venv" >&2; \
		exit 1; }
	@$(RUN) -c '' 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.python pyproject.toml
	@$(INSTALL) --editable '.[redis,sqlalchemy,images,msgspec]'
	@touch $@

# pip reads dependency groups since 25.1, which is newer than what most Pythons bring.
$(VENV)/.pip: $(VENV)/.python
	@$(INSTALL) --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.test: $(VENV)/.pip pyproject.toml
	@$(INSTALL) --editable . --group test
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@$(INSTALL) --group dev
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@$(INSTALL) --group bench
	@touch $@
