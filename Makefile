# Every target makes its own virtual environment, so that it works on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# More extras for the tests, such as `free`, whose 100 MB of weights some tests are skipped without.
EXTRAS ?=
comma := ,

.PHONY: test test-full test-faults test-pythons lint demo horovod clean

$(VENV)/ready: setup.py
	$(PYTHON) tools/make_venv.py $(VENV) cpu,test$(if $(EXTRAS),$(comma)$(EXTRAS))
	touch $@

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# A process a core, each with one thread of MXNet; a file's tests stay in one process.
PARALLEL ?= -n auto --maxprocesses 4 --dist loadfile
test test-full: export MXNET_OMP_MAX_THREADS = 1

test: lint
	$(BIN)/python -m pytest -q -m "not full" $(PARALLEL) $(ARGS)

test-full: lint
	$(BIN)/python -m pytest -q $(PARALLEL) $(ARGS)

# Kills a hundred training runs at random moments and holds what comes of them to the unbroken ones, bit by bit.
test-faults: $(VENV)/ready
	GLUONFR_KILLS=25 $(BIN)/python -m pytest -q -s tests/engine/test_killed_runs.py $(ARGS)

# Installs the package in a fresh environment for every Python found, and runs a sample of the tests in each.
test-pythons:
	$(PYTHON) tools/test_pythons.py

demo: $(VENV)/ready
	$(BIN)/gluonfr demo --out runs/demo

# Several processes and machines: compiles Horovod for this MXNet, which takes some minutes.
horovod: $(VENV)/ready
	$(BIN)/python tools/build_horovod.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
