# Every target makes .venv and installs into it where that has not been done.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test lint bench clean

quickstart: .venv/installed
	$(BIN)/gan-eval quickstart

test: .venv/installed
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/gan-eval benchmark --all

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "gan_eval needs Python 3.11 or newer; pass PYTHON=python3.12, say")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv
