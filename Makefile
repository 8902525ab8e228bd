# `make demo` and `make test` work as the first command on a clean checkout: they create .venv and install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test soak lint audit format bench bench-scaling bench-imports bench-quota bench-upload bench-journal clean

help:
	@echo "make demo    upload a CRM export to a local Criteo and show the report"
	@echo "make test    run the tests with branch coverage"
	@echo "make soak    kill and disturb uploads hundreds of times, and print what came of it"
	@echo "make lint    ruff, mypy --strict, basedpyright, and make audit"
	@echo "make audit   known vulnerabilities of what is installed, where their list can be reached"
	@echo "make format  let ruff format the code"
	@echo "make bench   compare an upload of two million e-mails with a plain script and Criteo's own SDK"
	@echo "             bench-scaling, bench-imports, bench-quota, bench-upload, bench-journal: see docs/performance.md"

$(VENV)/.cli: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing criteo-audiences into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli]'
	@touch $@

$(VENV)/.dev: $(VENV)/.cli
	@echo "Installing what the tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@# Retail Media's experimental calls are only in the preview line of Criteo's SDK, which bears the same name.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(VENV)/criteo-preview 'criteo-api-retailmedia-sdk==0.0.*'
	@touch $@

demo: $(VENV)/.cli
	@$(BIN)/criteo-audiences demo

test: $(VENV)/.dev
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

soak: $(VENV)/.dev
	$(BIN)/python tests/faults/soak.py

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

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/compare.py

bench-scaling bench-imports bench-quota bench-upload bench-journal: bench-%: $(VENV)/.dev
	$(BIN)/python benchmarks/$*.py

clean:
	rm -rf $(VENV) dist build .coverage .coverage.*
