# Every target sets up what it needs in .venv on a fresh machine; PYTHON and VENV can be overridden.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow test-oldest lint types bench clean

$(STAMP): setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## blur a real photograph, restore it with the embedded prior, say where everything is
	$(BIN)/python examples/demo.py demo

test: $(STAMP)  ## the test suite, on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(STAMP)  ## long tests; gates and invariance with other instruction sets and threads
	$(BIN)/python -m pytest -n 2 -m "slow and not threads"
	$(BIN)/python -m pytest -m threads

test-oldest: ## the same with the oldest torch and deepinv that setup.cfg admits, in an environment of its own (6 GB)
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --upgrade pip
	.venv-oldest/bin/python -m pip install --quiet torch==2.6.0 torchvision==0.21.0 deepinv==0.4.0 pytest pytest-timeout pytest-xdist hypothesis .
	.venv-oldest/bin/python -m pytest -n 2 tests/sampling/test_batch.py tests/exact tests/operators/test_operators_catalogue.py

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy -p inverse

bench: $(STAMP)  ## tables: exact posteriors, peers, photographs, overhead; hours on two cores (each takes --help)
	$(BIN)/python benchmarks/exact.py
	$(BIN)/python benchmarks/mixture.py
	$(BIN)/python benchmarks/field.py
	$(BIN)/python benchmarks/nonlinear.py
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/photo.py
	$(BIN)/python benchmarks/pareto.py
	$(BIN)/python benchmarks/priors.py
	$(BIN)/python benchmarks/fitted.py
	$(BIN)/python benchmarks/satellite.py

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
