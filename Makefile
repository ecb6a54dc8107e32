# Daily commands. Everything happens in .venv, which is made when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes of the test suite, one thread each.
TEST_JOBS ?= 2
SOURCES := ltx2 eval benchmarks reports tests .ci

.PHONY: demo example test lint format types wheel clean

demo: $(VENV)/.installed
	$(BIN)/ltx2-eval weights pull --profile nano
	$(BIN)/ltx2-eval run --out runs/demo

# reports/published/nano from nothing: the demo once more, and its leaderboard with the clips of three prompts.
example: $(VENV)/.installed
	rm -rf runs/example reports/published/nano/media reports/published/nano/model-index
	$(BIN)/ltx2-eval weights pull --profile nano
	$(BIN)/ltx2-eval run --out runs/example
	$(BIN)/ltx2-eval leaderboard runs/example --media copy --media-prompts 3 \
		--export badge --export model-index --out reports/published/nano

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TEST_JOBS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

types: $(VENV)/.installed-dev
	$(BIN)/mypy

wheel: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --wheel

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed')"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) dist build runs .pytest_cache .mypy_cache .ruff_cache
