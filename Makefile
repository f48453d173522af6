# The two doors: `make demo` and `make test`. Both set everything up first, in .venv, on a machine with only
# git, make and python3 (3.11 to 3.13) with venv. Nothing outside this folder is touched.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
PINS := sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p'
ARGS ?=

.PHONY: help setup demo test lint check bench chaos build languages pictures update advisories clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: $(VENV)/.ready ## Set up .venv with gonio and everything for development

$(VENV)/.ready: pyproject.toml requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "gonio needs Python 3.11, 3.12 or 3.13: install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing: sudo apt-get install python3-venv"; exit 1; }
	@if [ "$$(uname -m)" = aarch64 ] && ! { command -v c++ >/dev/null && \
		$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'; }; then \
		echo "On this processor vqf is built here: sudo apt-get install g++ python3-dev"; exit 1; fi
	@echo "Setting up $(VENV) (once, a minute or two) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes --requirement requirements/dev.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.ready ## Run the whole system with two virtual sensors (ARGS="--device witmotion_ble5" and so on)
	@$(BIN)/gonio demo $(ARGS)

test: $(VENV)/.ready ## Run the tests
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(VENV)/.ready ## Check style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## Everything that CI checks

bench: $(VENV)/.bench ## Measure what the docs state, beside other methods (ARGS="--full" and so on)
	@$(BIN)/python benchmarks $(ARGS)
	@echo && $(BIN)/python benchmarks/ingest.py
	@echo && $(BIN)/python benchmarks/uplink.py
	@echo && $(BIN)/python benchmarks/scale.py

chaos: $(VENV)/.ready ## Set the whole system on fire for 10 minutes a store, and look whether anything was lost (ARGS="--seed 7")
	@$(BIN)/python -m tests.chaos $(ARGS)

$(VENV)/.bench: $(VENV)/.ready requirements/bench.txt
	@echo "Installing the methods that gonio is measured beside ..."
	@$(PIP) --require-hashes --requirement requirements/bench.txt
	@touch $@

build: $(VENV)/.ready ## Make the wheel, the source archive and the bill of materials (CycloneDX) in dist/
	@rm -rf dist build/sbom
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build
	@$(PYTHON) -m venv build/sbom
	@build/sbom/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/run.txt
	@build/sbom/bin/pip install --quiet --disable-pip-version-check --no-deps dist/*.whl
	@build/sbom/bin/pip uninstall --quiet --yes pip setuptools
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
		--spec-version 1.6 --output-format JSON --output-file dist/gonio.cdx.json build/sbom/bin/python
	@rm -rf build/sbom && ls -l dist

languages: $(VENV)/.ready ## Read the patient's page for texts anew, and compile their translations
	@$(BIN)/python -m tests.gateway.page.catalogues

pictures: $(VENV)/.ready ## Remake the pictures of the docs (needs chromium)
	@mkdir -p docs/pictures/patient && GONIO_PICTURES=docs/pictures/patient $(BIN)/python -m pytest -q tests/demo/test_patient_day.py
	@folder=$$(mktemp -d) && $(BIN)/python examples/review_screenshots.py $$folder --only session && \
		cp $$folder/session-1440-light.png docs/pictures/session.png; rm -rf $$folder

update: $(VENV)/.ready ## Lock the newest releases that fit pyproject.toml, with their hashes, then set up anew
	@rm -f requirements/dev.txt && $(LOCK) --extra dev --output-file requirements/dev.txt pyproject.toml
	@$(PINS) requirements/dev.txt > requirements/pins && $(LOCK) --constraint requirements/pins --output-file requirements/run.txt pyproject.toml
	@$(LOCK) --constraint requirements/pins --extra dev --extra bench --output-file requirements/bench.txt pyproject.toml
	@rm requirements/pins && rm -rf $(VENV) && $(MAKE) setup

advisories: $(VENV)/.ready ## Read the known vulnerabilities of locked packages anew (FROM=folder of a PyPA advisory database)
	@$(BIN)/python tests/supply/advisories.py $(FROM)

clean: ## Remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
