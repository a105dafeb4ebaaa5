# Every target makes its own virtual environment, one per Python version, so that it works on a fresh machine.
PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV ?= .venv-$(VERSION)
BIN := $(VENV)/bin
# More extras for the tests.
EXTRAS ?=
comma := ,

.PHONY: release test test-system test-full test-faults fuzz test-cpus test-cu112 test-pythons coverage lint demo docs horovod clean

$(VENV)/ready: setup.py tools/make_venv.py
	$(PYTHON) tools/make_venv.py $(VENV) cpu,test$(if $(EXTRAS),$(comma)$(EXTRAS))
	touch $@

$(VENV)/system-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,test,test-system]"
	touch $@

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

# One process per core, each with one MXNet thread; the tests of a file stay in one process. A test that ends its process, by a crash
# or by hanging, would be tried again and again.
PARALLEL ?= -n auto --maxprocesses 4 --dist loadfile --max-worker-restart 1
PYTEST := $(BIN)/python -m pytest -q $(PARALLEL)
test test-system test-full coverage: export MXNET_OMP_MAX_THREADS = 1

# Every loss, network, reader and command at small size, and the examples of all docstrings; minutes on two cores.
test: lint
	$(BIN)/python -m pytest -q $(PARALLEL) --doctest-modules gluonfr
	$(PYTEST) -m "not system and not full" $(ARGS)

# Servers, a browser, several processes and machines, kills, notebooks, figures on real faces.
test-system: $(VENV)/system-ready
	$(PYTEST) -m "system and not full" $(ARGS)

test-full: $(VENV)/system-ready lint
	$(PYTEST) --timeout 7200 $(ARGS)

# Line coverage of both tiers, and of the first alone; writes the badge of the README.
coverage: $(VENV)/system-ready
	$(PYTEST) -m "not system and not full" --cov --cov-report= --timeout 3600 $(ARGS)
	$(BIN)/coverage report --format=total
	$(PYTEST) -m "system and not full" --cov --cov-append --cov-report=term:skip-covered --timeout 3600 $(ARGS)
	$(BIN)/python tools/make_badges.py $$($(BIN)/coverage report --format=total)

# The first tier on the instruction sets of other CPUs, with one and two threads, and beside a busy process.
test-cpus: $(VENV)/ready
	$(BIN)/python tools/test_on_cpus.py $(ARGS)

# The first tier on MXNet's CUDA build, on CPU contexts and with a stand-in for the driver; downloads 2.3 GB.
CUDA_VENV := $(VENV)-cu112
test-cu112: export MXNET_OMP_MAX_THREADS = 1
test-cu112: tools/stub_libcuda.c
	$(PYTHON) tools/make_venv.py $(CUDA_VENV) cu112,test
	mkdir -p $(CUDA_VENV)/stub
	gcc -shared -fPIC -Wl,-soname,libcuda.so.1 $< -o $(CUDA_VENV)/stub/libcuda.so.1
	LD_LIBRARY_PATH=$(CURDIR)/$(CUDA_VENV)/stub $(CUDA_VENV)/bin/python -m pytest -q $(PARALLEL) -m "not system and not full" $(ARGS)

# Kills a hundred training runs at random moments and compares their results with the unbroken runs, bit by bit.
test-faults: $(VENV)/system-ready
	GLUONFR_KILLS=25 $(BIN)/python -m pytest -q -s --timeout 7200 tests/engine/test_killed_runs.py $(ARGS)

# Mutated files and requests for every reader, in processes with limits of time and memory.
FUZZ_SECONDS ?= 3600
fuzz: $(VENV)/ready
	$(BIN)/python tests/fuzz/fuzz_run.py --seconds $(FUZZ_SECONDS) --seed $$(date +%s) --findings runs/fuzz $(ARGS)

# Installs the package in a fresh environment for every Python found, and runs a sample of the tests in each.
test-pythons:
	$(PYTHON) tools/test_pythons.py

# The documentation site in build/site, with a check of all links; needs Python 3.10 or later.
docs: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

demo: $(VENV)/ready
	$(BIN)/gluonfr demo --out runs/demo

# Several processes and machines: compiles Horovod for this MXNet, which takes some minutes.
horovod: $(VENV)/ready
	$(BIN)/python tools/build_horovod.py

# Builds the source archive and the wheel, checks them, installs the wheel in a clean environment and tries it there.
release: $(VENV)/ready
	$(BIN)/python tools/make_release.py $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage*
