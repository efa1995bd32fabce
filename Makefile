# Everything a developer does here, one verb each; `make all` is what CI runs.
# Needs Python 3.11+, cargo and a C linker; the tests' mongod needs libcurl4 and OpenSSL 3.

PYTHON ?= python3
VENV ?= .venv
COUNT ?= 20
# Of the fault tests, which wait most of the time; `make test` runs others beside them.
WORKERS ?= 2
EXAMPLES ?= 50000
SECONDS ?= 60
export FERROMONGO_SPECS ?= $(abspath ../shared/specs)

BIN := $(abspath $(VENV))/bin
# Each worker of pytest-xdist has a replica set of its own. One that has nothing left to do takes
# tests from another.
PYTEST := $(BIN)/pytest --durations=20
FAULT_TESTS := -n $(WORKERS) --dist worksteal tests/fault
# The same interpreter for every cargo call, or pyo3 would be compiled anew for each.
export PYO3_PYTHON := $(BIN)/python
SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md LICENSE \
  $(shell find src python -type f -not -name '*.pyc' -not -name '*.so')

.PHONY: help venv build develop demo test test-rust test-python test-faults test-parity test-others \
  test-pythons format lint bench unified soak money kills fuzz differential applications all clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

venv: $(VENV)/.installed  ## Create .venv with the development tools and the peers
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --group dev --group peers
	touch $@

build: $(VENV)/.wheel  ## Build the release wheel and install it into .venv
$(VENV)/.wheel: $(VENV)/.installed $(SOURCES)
	rm -rf dist
	$(BIN)/maturin build --release --locked --interpreter $(BIN)/python --out dist
	$(BIN)/pip install --quiet "$$(echo dist/ferromongo-*.whl)[embedded]"
	$(BIN)/pip install --quiet --no-deps --force-reinstall dist/ferromongo-*.whl
	touch $@

develop: venv  ## Build quickly and install in place (light profile)
	rm -f $(VENV)/.wheel
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --profile light --locked --extras embedded

demo: build  ## Run the examples against a real replica set, then a short comparison
	$(BIN)/python examples/tour.py
	$(BIN)/python examples/tour_async.py
	$(BIN)/python examples/transfer.py
	$(BIN)/python examples/transfer_async.py
	$(BIN)/python examples/files.py
	$(BIN)/python -m benches --quick

test: test-rust test-python  ## Run all tests

test-rust: venv  ## Run the tests that need no Python and no server
	@test -d "$(FERROMONGO_SPECS)" || echo "No $(FERROMONGO_SPECS): the official scenarios are skipped."
	cargo test --release --locked --no-default-features

test-python: build  ## Run the Python tests on real replica sets, three parts at a time
ifdef FERROMONGO_TEST_URI
	$(PYTEST)
else
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-faults test-parity test-others
endif

# Each part starts replica sets: what happens to the servers of the first disturbs no other.
test-faults: build
	$(PYTEST) $(FAULT_TESTS)
# Replication would cost half of the processor time, and changes nothing that is compared.
test-parity: build
	$(PYTEST) -o mongodb_members=1 tests/parity tests/property
test-others: build
	$(PYTEST) -n 2 --dist worksteal tests/server tests/spec tests/typing tests/unit

test-pythons: venv  ## Run the quick part of the Python tests on every other CPython found, 3.11+
	$(BIN)/python python/tools/other_pythons.py

format: venv  ## Format Rust and Python
	cargo fmt
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

lint: venv  ## Check formatting, lints, types and generated files
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python python/tools/async_to_sync.py --check
	$(BIN)/python python/tools/async_to_motor.py --check
	$(BIN)/python python/tools/compatibility_tables.py --check

bench: build  ## Compare with PyMongo, Motor and mongojet
	$(BIN)/python -m benches

unified: build  ## Run all of MongoDB's unified tests on both APIs; `make test` runs a part
	FERROMONGO_UNIFIED=all $(BIN)/pytest tests/spec

soak: build  ## Repeat the fault tests COUNT times (20)
	@for round in $$(seq $(COUNT)); do \
	  echo "== round $$round of $(COUNT)"; $(PYTEST) -q $(FAULT_TESTS) || exit 1; \
	done

money: build  ## Transfer money through faults for SECONDS (60) on each API; WAYS=session|atomic
	FERROMONGO_MONEY_SECONDS=$(SECONDS) FERROMONGO_MONEY_WAYS=$(or $(WAYS),all) $(BIN)/pytest -s tests/fault/test_money.py

kills: build  ## Kill KILLS (400) programs, and primaries, in the middle of transactions that are logged
	FERROMONGO_KILLS=$(or $(KILLS),400) $(BIN)/pytest -s tests/fault/test_transaction_log_kills.py

fuzz: venv  ## Fuzz TARGETS (all) for SECONDS (60) each; needs cargo-fuzz and a nightly toolchain
	$(BIN)/python fuzz/seeds.py
	@for target in $(or $(TARGETS),$$(cargo +nightly fuzz list)); do \
	  echo "== $$target"; \
	  $(FUZZ_ENVIRONMENT) cargo +nightly fuzz run $$target $(INPUT) -- \
	    -max_total_time=$(SECONDS) -detect_leaks=0 || exit 1; \
	done

# The targets embed Python. It finds the venv through PATH; with the C library's allocator the
# sanitizer sees where each object ends. What the interpreter keeps until it ends is no leak.
FUZZ_ENVIRONMENT = PATH="$(BIN):$$PATH" PYTHONMALLOC=malloc \
  ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=16

differential: build  ## Compare the codec with bson on EXAMPLES examples of each property (50000)
	FERROMONGO_EXAMPLES=$(EXAMPLES) $(BIN)/pytest --timeout 0 --durations 20 tests/property

applications: build  ## Run libraries that use PyMongo with both drivers; ONLY=limits,umongo for some
	$(BIN)/python -m tests.applications $(ONLY)

all: lint test test-pythons  ## What CI runs

clean:  ## Remove what was built
	rm -rf $(VENV) .venv-applications dist target .pytest_cache .mypy_cache .ruff_cache
	find python tests benches examples -name __pycache__ -prune -exec rm -rf {} +
	rm -f python/ferromongo/*.so
