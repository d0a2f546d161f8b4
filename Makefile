# `make` lists the targets. Overridable: PYTHON, VENV, WORKERS, PYTEST_ARGS, BENCH_ARGS, RELIABILITY_ARGS.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# The first Python that is new enough; PYTHON=python3.12 chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
ifeq ($(PYTHON),)
override PYTHON := python3.11
endif

VENV ?= .venv
PY = $(abspath $(VENV))/bin/python
# Processes that share the tests, one more than there are processors, since many tests wait for a disk; 0: this one runs
# them all, as a debugger wants it.
WORKERS ?= $(shell echo $$(($$(nproc) + 1)))
PYTEST = $(PY) -m pytest -n $(WORKERS) --dist loadgroup
PYTEST_ARGS ?=
BENCH_ARGS ?=
RELIABILITY_ARGS ?=
MUTANTS_ARGS ?=

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
MADE := $(VENV)/.made-with-python$(VERSION)

REQUIREMENTS = $(PY) -c 'import sys, tomllib; \
	extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	print(*extras[sys.argv[1]], sep="\n")'

# Compiled modules with a handwritten stub.
STUBS = $(patsubst pmemobj/%.pyi,pmemobj.%,$(wildcard pmemobj/_*.pyi))

ASAN = build/asan

.PHONY: help system setup compile demo test test-direct test-long test-asan lint format docs wheel clean
.PHONY: bench bench-peers bench-c bench-latency bench-gc bench-apps bench-instructions bench-profile bench-targets

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target text; do \
	printf '  make %-18s %s\n' "$$target" "$$text"; done

system: ## install the system packages that are missing (apt; root or sudo)
	@tools/install_system_packages.sh $(PYTHON)

# Each step leaves a file in $(VENV), so a second run does only what has changed.
$(MADE): | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pmemobj needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.requirements: pyproject.toml $(MADE)
	@$(REQUIREMENTS) dev > $@.txt
	@if ! cmp -s $@.txt $@; then $(PY) -m pip install -q -r $@.txt; fi
	@mv $@.txt $@

$(VENV)/.editable: pyproject.toml $(VENV)/.requirements
	$(PY) -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

setup: compile ## system packages, .venv, editable build

compile: system $(VENV)/.editable ## build the modules in place
	@$(PY) setup.py -q build_ext --inplace

demo: setup ## a program that loses nothing when it is killed
	$(PY) examples/guessing_game/demo.py

test: setup ## the tests, seven minutes on two processors
	$(PYTEST) $(PYTEST_ARGS)

# As on persistent memory: what the C tests and the tools check is the same, and the documents show the default.
test-direct: setup ## the tests with the direct engine
	$(PYTEST) --engine=direct $(or $(PYTEST_ARGS),tests --ignore tests/engine --ignore tests/tools \
	--ignore tests/benchmarks --ignore tests/docs)

# HOURS=8 explores crashes for so long instead; RECORD=1 writes what it reached into docs/reliability.md, SEED=1 repeats.
test-long: setup ## all tests, the long ones too; HOURS=n: random explorations of crashes, n hours long
	$(if $(HOURS),$(PY) -m tests.testing.campaign long --hours $(HOURS) $(if $(SEED),--seed $(SEED)) \
	$(if $(RECORD),--record && $(PY) -m tests.reliability campaign),\
	$(PYTEST) -m "long or not long" --timeout 3600 $(PYTEST_ARGS))

# Together with what the tests have explored just before: 50,000 images of each engine, 200 killed programs.
.PHONY: campaign
campaign: setup ## crashes of every container, as many as CI promises, after make test
	$(PY) -m tests.testing.campaign ci --beside-tests

# A build without inlining, in which each call is a place of its own; see tests/mutants.
.PHONY: mutants
mutants: setup ## leave out one flush, sync, undo image or note after the other: is it noticed?
	mkdir -p build/mutants
	find build/mutants -mindepth 1 -maxdepth 1 ! -name build ! -name results.json -exec rm -rf {} +
	tar -cf - --exclude=./build --exclude='./.*' --exclude=./$(VENV) --exclude='*.so' . | tar -xf - -C build/mutants
	cd build/mutants && PMEMOBJ_DEBUG=1 $(PY) setup.py -q build_ext --inplace
	$(PY) -m tests.mutants $(MUTANTS_ARGS)

# A copy, so that the sanitized modules never lie beside the ordinary ones. Compiled
# objects stay in the copy's own build/ from one run to the next.
test-asan: setup ## the tests under address and undefined behaviour sanitizers
	mkdir -p $(ASAN)
	find $(ASAN) -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	tar -cf - --exclude=./build --exclude='./.*' --exclude=./$(VENV) --exclude='*.so' . | tar -xf - -C $(ASAN)
	cd $(ASAN) && PMEMOBJ_SANITIZE=address,undefined $(PY) setup.py -q build_ext --inplace
	cd $(ASAN) && PYTHONPATH=$$PWD PYTHONMALLOC=malloc \
	LD_PRELOAD=$$($(or $(CC),gcc) -print-file-name=libasan.so) \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	$(PYTEST) --timeout 1200 $(PYTEST_ARGS)

lint: setup ## ruff, cython-lint, mypy, stubtest, layers, symbols
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	PATH="$(abspath $(VENV))/bin:$$PATH" cython-lint pmemobj # which calls pycodestyle by name
	$(PY) -m mypy
	$(if $(STUBS),$(PY) -m mypy.stubtest --allowlist tools/stubtest_allowlist.txt \
	--ignore-unused-allowlist --ignore-disjoint-bases $(STUBS))
	$(PY) tools/check_layers.py
	$(PY) tools/check_symbols.py

format: setup ## let ruff format the Python files
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: setup ## every operation against the builtins, two minutes
	$(PY) benchmarks/run.py $(BENCH_ARGS)

bench-c: setup ## the same from C with libpmemobj, and what a durable commit costs
	$(PY) benchmarks/against_c.py $(BENCH_ARGS)

# RELIABILITY_ARGS="NAME ..." measures some of the tables; --list names them.
.PHONY: reliability
reliability: setup ## do to pools what docs/reliability.md tells, and write it
	$(PY) -m tests.reliability $(RELIABILITY_ARGS)

# The other stores, and matplotlib for plots.
.PHONY: bench-setup
bench-setup: setup
	@$(REQUIREMENTS) bench > $(VENV)/.bench.txt && $(PY) -m pip install -q -r $(VENV)/.bench.txt
	@$(PY) -m benchmarks.peers.install_pynvm

# BENCH_ARGS="--quick", "--entries 1000000 --peers lmdb", ...: see benchmarks/peers/__main__.py.
bench-peers: bench-setup ## the same work by LMDB, SQLite, ZODB and others
	$(PY) -m benchmarks.peers $(BENCH_ARGS)

bench-latency: setup ## the slowest of ten million single operations
	$(PY) benchmarks/latency.py $(BENCH_ARGS)

bench-gc: setup ## steps of gc()
	$(PY) benchmarks/collecting.py $(BENCH_ARGS)

bench-apps: setup ## three small programs: a crawler, a job queue, a word count
	$(PY) benchmarks/applications.py $(BENCH_ARGS)

bench-instructions: setup ## instructions of each operation, counted by valgrind
	@tools/install_system_packages.sh $(PYTHON) valgrind
	$(PY) benchmarks/instructions.py $(BENCH_ARGS)

bench-profile: bench-setup ## where the time of missed targets goes, sampled by perf, into docs/profiles.md
	@tools/install_system_packages.sh $(PYTHON) perf
	$(PY) benchmarks/profiles.py $(BENCH_ARGS)

bench-targets: bench-setup ## measure all that docs/performance.md promises, and write it
	$(PY) benchmarks/targets.py $(BENCH_ARGS)

docs: setup ## HTML documentation in build/docs
	@$(REQUIREMENTS) docs > $(VENV)/.docs.txt && $(PY) -m pip install -q -r $(VENV)/.docs.txt
	$(PY) -m sphinx -q -W -b html $(if $(wildcard docs/conf.py),,-C -D extensions=myst_parser) docs build/docs
	@echo "build/docs/index.html"

# build/lib* may hold modules whose sources are gone, and would be packed too.
wheel: setup ## a wheel in dist/
	rm -rf build/lib* build/bdist*
	$(PY) -m pip wheel -q --no-deps --no-build-isolation -w dist .
	@ls -l dist/*.whl

clean: ## remove everything that was built, and .venv
	rm -rf build dist *.egg-info $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f pmemobj/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
