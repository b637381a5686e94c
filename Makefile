# What one does with a checkout. `make` alone lists it.
#
# A machine needs Python 3.11 or newer with pip, and make; nothing is installed outside .venv and .prism, but for
# `make test` as root on Debian, which says so.

BASE_PYTHON ?= python3
PYTHON := .venv/bin/python
BENCHMARKS := mining captions parser browse parsing
WORKERS ?= 2
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench docs prism chromium

help:  ## what there is to make
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name told; do \
	    printf '%-12s %s\n' "$$name" "$$told"; done

setup: .venv/.dev  ## .venv with facetmine and everything that tests need

demo: .venv/.demo  ## the proof on a toy world in out/demo: captions to triplets to a model that beats CLIP
	.venv/bin/facetmine demo --output out/demo

test: .venv/.dev prism chromium  ## all tests, also the slow ones, on every runner that can be had
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

lint: .venv/.dev  ## ruff check, ruff format --check, mypy
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy

bench: .venv/.dev  ## the benchmarks, one after the other
	set -e; for name in $(BENCHMARKS); do $(PYTHON) -m benchmarks.$$name; done

docs: .venv/.dev  ## the documentation as a site in build/site, warnings as errors
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

prism: .venv/.core  ## Beam's Prism runner in .prism/bin, built once with Go
	@.ci/build-prism "$$($(PYTHON) -c 'import importlib.metadata as m; print(m.version("apache-beam"))')" .prism/bin \
	    || { test $$? -eq 3 && echo "prism: going on without; the tests that need it say that they are skipped"; }

chromium:  ## Debian's Chromium, in which tests open pages; installed where you are root
	@.ci/install-chromium \
	    || { test $$? -eq 3 && echo "chromium: going on without; the tests that need it say that they are skipped"; }

# Debian's Python comes without ensurepip, which is in the package python3-venv. Where it is missing, the pip that is
# there installs one into the environment.
$(PYTHON):
	@$(BASE_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "facetmine needs Python 3.11 or newer: make BASE_PYTHON=/path/to/python3.11"; exit 1; }
	@if $(BASE_PYTHON) -c 'import ensurepip' 2>/dev/null; then $(BASE_PYTHON) -m venv .venv; \
	else $(BASE_PYTHON) -m venv --without-pip .venv && $(BASE_PYTHON) -m pip --python $(PYTHON) install --quiet pip; fi

.venv/.core: pyproject.toml | $(PYTHON)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.demo: pyproject.toml | .venv/.core
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch .venv/.core $@

.venv/.dev: pyproject.toml | .venv/.core
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch .venv/.core $@
