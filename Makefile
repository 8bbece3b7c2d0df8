# One word each. The first use of any sets everything up in .venv, from Python and pip alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up

.PHONY: train test docs verbs learning faults lint types bench setup clean

train: setup  ## CartPole-v1 from nothing to a policy, its curve and a video
	$(BIN)/a2c train CartPole-v1

test: setup  ## every test but those under tests/learning, in two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile

docs: setup  ## the documentation site, in site/; a warning is an error
	$(BIN)/mkdocs build --strict

verbs: setup  ## the verbs of docs/first_run.md, in an environment without extras and in one with all of them
	$(PYTHON) -m venv .venv-plain
	.venv-plain/bin/python -m pip install --quiet --disable-pip-version-check .
	$(BIN)/python .ci/verbs.py .venv-plain/bin/python
	$(BIN)/python .ci/verbs.py $(BIN)/python --extras

learning: setup  ## slow: presets reach what the README says
	$(BIN)/python -m pytest -m learning

faults: setup  ## an hour or two: kills, hangs, full disks, damaged folders; rewrites faults/results and docs/reliability.md's table
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,bench]"
	$(BIN)/python -m faults
	$(BIN)/python -m faults.day
	$(BIN)/python -m faults.cluster
	$(BIN)/python -m faults.folders --count 20000
	$(BIN)/python -m faults.table

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

bench: setup  ## an hour: speed, side by side with others; rewrites benchmarks/results and the tables of the README and docs/speed.md
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,bench]"
	$(BIN)/python -m benchmarks.kernels
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.seeds
	$(BIN)/python -m benchmarks.seeds --view
	$(BIN)/python -m benchmarks.environments
	$(BIN)/python -m benchmarks.ordinary
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.reliability
	$(BIN)/python -m benchmarks.training --peers .venv-peers/bin/python
	$(BIN)/python -m benchmarks.tables
	$(BIN)/python -m faults.table

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) .venv-plain .venv-peers build site *.egg-info .pytest_cache .mypy_cache .ruff_cache
