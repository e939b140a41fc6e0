# `make demo` and `make test` set up everything on a fresh machine; the rest is for work on convwise itself.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check fix slow bench docs clean

demo: .venv/installed
	$(BIN)/convwise demo

test: check
	$(BIN)/python -m pytest -n 2

check: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

slow: .venv/installed-test
	$(BIN)/python -m pytest -m slow

bench: .venv/installed-test
	$(BIN)/python benchmarks/run.py

docs: .venv/installed-test
	$(BIN)/python docs/make.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ .venv/installed
