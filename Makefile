# `make demo` and `make test` work as the first command on a clean checkout: they create .venv and install what they need.
# Name a Python with `make test PYTHON=python3.13`: where .venv has another version, it gets an environment of its own.
PYTHON ?= python3
VENV := .venv
ifneq ($(origin PYTHON),file)
version = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := $(if $(filter-out $(call version,$(PYTHON)),$(call version,.venv/bin/python)),.venv-$(call version,$(PYTHON)),.venv)
endif
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

# What `make test` runs, in how many processes, and whether it measures coverage; `.ci/run` sets all of them.
TESTS := tests/unit tests/integration tests/cli tests/interop
# One process more than there are cores: some tests wait for a process or a server, and then another one goes on.
WORKERS = $(shell $(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')
COVERAGE :=
PYTEST := pytest --quiet --numprocesses=$(WORKERS) $(TESTS)

# What is imported is compiled once, not in each of the hundreds of processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo picture docs docs-serve dist test test-integrations soak lint audit format bench bench-scaling bench-imports bench-quota bench-floor bench-upload bench-journal bench-mirror bench-time_left bench-scale clean

help:
	@echo "make demo    upload a CRM export to a local Criteo and show the report"
	@echo "make docs    build the documentation site in site/; make docs-serve shows it while pages are written"
	@echo "make picture draw docs/demo.svg anew: the demo in a terminal"
	@echo "make test    run the tests on all cores; PYTHON=python3.13 for another Python, TESTS=... for a part of them"
	@echo "make test-integrations   the tests that need redis-server, zsh, fish, Java, Spark and Airflow, which are installed where apt-get and pip can"
	@echo "make soak    kill and disturb uploads hundreds of times, and print what came of it"
	@echo "make lint    ruff, mypy --strict, basedpyright, and make audit"
	@echo "make audit   known vulnerabilities of what is installed, where their list can be reached"
	@echo "make format  let ruff format the code"
	@echo "make dist    build what would be published, and check it"
	@echo "make bench   compare an upload of two million e-mails with a plain script and Criteo's own SDK"
	@echo "             bench-scaling, bench-imports, bench-quota, bench-floor, bench-upload, bench-journal, bench-mirror, bench-time_left, bench-scale: see docs/explanation/performance.md"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.cli: SHELL := /bin/bash
$(VENV)/.cli: pyproject.toml | $(BIN)/python
	@echo "Installing criteo-audiences and what it needs into $(VENV), which takes up to a minute:"
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --editable '.[cli]' \
		| sed -un 's/^Collecting \([A-Za-z0-9_.-]*\).*/  \1/p'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	@echo "Installing what the tests need into $(VENV) ..."
	@$(INSTALL) '.[test]'
	@# Retail Media's experimental calls are only in the preview line of Criteo's SDK, which has the same name.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(VENV)/criteo-preview 'criteo-api-retailmedia-sdk==0.0.*'
	@touch $(VENV)/.cli $@

$(VENV)/.servers: $(VENV)/.test
	@echo "Installing Spark, queues and web servers into $(VENV), which takes a minute or two ..."
	@$(INSTALL) '.[servers]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo "Installing linters, type checkers and what measures coverage into $(VENV) ..."
	@$(INSTALL) '.[dev]'
	@touch $(VENV)/.servers $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	@echo "Installing what the documentation site needs into $(VENV) ..."
	@$(INSTALL) '.[docs]'
	@touch $(VENV)/.cli $@

demo: $(VENV)/.cli
	@$(BIN)/criteo-audiences demo

picture: $(VENV)/.cli
	@$(BIN)/python .ci/picture.py >/dev/null

# The builders' own notice about their successors is no warning about these pages.
docs docs-serve: export NO_MKDOCS_2_WARNING := 1
docs: $(VENV)/.docs
	@# Not --quiet: that hides warnings from --strict as well, a dead link among them.
	@$(BIN)/mkdocs build --strict

docs-serve: $(VENV)/.docs
	@$(BIN)/mkdocs serve

# Builds what would be published and checks it, where the package index can be reached.
dist: $(VENV)/.dev
	@$(BIN)/python .ci/distribution.py

test: $(VENV)/$(if $(COVERAGE),.dev,.test)
ifdef COVERAGE
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m $(PYTEST)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report
else
	@$(BIN)/python -m $(PYTEST)
endif

# Real servers, shells, Spark and Airflow; the tests fail rather than be skipped. Programs, and Debian's packages of them where
# they are missing.
NEEDED := redis-server:redis-server zsh:zsh fish:fish java:openjdk-17-jre-headless
test-integrations: $(VENV)/.servers
	@missing=$$(for each in $(NEEDED); do command -v $${each%:*} >/dev/null || echo $${each#*:}; done); [ -z "$$missing" ] || { \
		echo "Installing" $$missing "..."; \
		SUDO=$$([ "$$(id -u)" = 0 ] || command -v sudo); export DEBIAN_FRONTEND=noninteractive; \
		install="$$SUDO apt-get install -qq --yes --no-install-recommends $$missing"; \
		$$install >/dev/null 2>&1 || { $$SUDO apt-get update -qq && $$install >/dev/null; }; } || { \
		echo $$missing "could not be installed: install them (Redis 5, Java 17 or newer) and run this again." >&2; exit 1; }
	@$(MAKE) --no-print-directory $(VENV)/airflow/.done
	@$(BIN)/python -m pytest --quiet tests/servers

# Airflow has an environment of its own: it pins versions of much that the tests need in others.
$(VENV)/airflow/.done: pyproject.toml | $(BIN)/python
	@echo "Installing Airflow into $(VENV)/airflow ..."
	@$(BIN)/python -m venv $(VENV)/airflow
	@$(VENV)/airflow/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[files]' 'apache-airflow>=3.2'
	@touch $@

soak: $(VENV)/.servers
	$(BIN)/python tests/faults/soak.py
	MIRROR_SEQUENCES=20 $(BIN)/python -m pytest -q tests/faults/test_mirrors.py
	$(BIN)/python -m pytest -q -s tests/servers/cluster_story.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	@$(MAKE) --no-print-directory audit

audit: $(VENV)/.dev
	$(BIN)/python .ci/audit.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test
	$(BIN)/python benchmarks/compare.py

bench-scaling bench-imports bench-quota bench-floor bench-upload bench-journal bench-mirror bench-time_left bench-scale: bench-%: $(VENV)/.test
	$(BIN)/python benchmarks/$*.py

clean:
	rm -rf .venv .venv-* dist build site .coverage .coverage.*
