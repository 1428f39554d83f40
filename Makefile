# Everything a person does with this tree. `make help` lists it.
# Needs Python 3.11 or newer with venv, cargo, and make; each target sets up what it needs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python that is new enough; `make PYTHON=/path/to/python3 test` chooses another.
PYTHON_CANDIDATES := python3 python3.11 python3.12 python3.13 python3.14
PYTHON ?= $(shell for p in $(PYTHON_CANDIDATES); do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
# maturin is found on PATH by pip's build; the rest is called by its path.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where it is set, each of the hundreds of processes that tests start compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

# In CI a lock file that is out of date is an error; at a desk cargo brings it up to date.
LOCKED := $(if $(filter true,$(CI)),--locked)

RUST_SOURCES := $(shell find rust \( -name '*.rs' -o -name Cargo.toml \) -not -path '*/tests/*' -not -path '*/benches/*' 2>/dev/null)
PYTEST_ARGS ?=
# Two workers a core, since tests wait for processes half of their time; each has a PostgreSQL of its own.
# Eight take as long as the longest tests.
PYTEST_WORKERS ?= --numprocesses $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN)))) --maxprocesses 8 --dist worksteal
PARTS ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: .make/core ## make .venv from constraints.txt and build the Rust core into it (release)

.PHONY: tools
tools:
	@test -n "$(PYTHON)" || { echo "postbox needs Python 3.11 or newer with venv (Debian: python3-venv); none of these is one: $(PYTHON_CANDIDATES). Name yours: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "postbox needs Python 3.11 or newer with venv: $(PYTHON) is not one" >&2; exit 1; }
	@cargo --version 2>/dev/null | awk '{ split($$2, v, "."); found = (v[1] > 1 || v[2] >= 88) } END { exit !found }' || { echo "postbox needs cargo with Rust 1.88 or newer (https://rustup.rs); \`cargo --version\` says: $$(cargo --version 2>&1 | head -n 1)" >&2; exit 1; }

# The interpreter and the pinned packages. A venv that is there is brought up to date, not replaced.
.make/venv: constraints.txt | tools
	@mkdir -p .make
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned packages into $(VENV), about half a minute"
	@$(BIN)/python -m pip install --quiet --require-hashes -r constraints.txt
	@touch $@

# The Rust core and the `postbox` command, in place: Python sources are read where they lie.
# Without build isolation, so that nothing but constraints.txt is ever fetched from an index.
.make/core: .make/venv $(RUST_SOURCES) $(wildcard Cargo.lock) Cargo.toml pyproject.toml
	@echo "compiling the Rust core, about a minute"
	@MATURIN_PEP517_ARGS="$(LOCKED)" $(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch $@

# What the tests start, each by tests/support/NAME.py. Installed where that may be done; a desk without it
# skips its tests, CI fails them.
postgres: PACKAGE := postgresql
shells: PACKAGE := zsh fish
mosquitto chromium: PACKAGE = $@
.PHONY: postgres mosquitto chromium shells
postgres mosquitto chromium shells: .make/venv
	@PYTHONPATH=tests $(BIN)/python -m support.$@ >/dev/null 2>&1 && exit; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing $(PACKAGE) for the tests"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(PACKAGE) >/dev/null \
			|| echo "that failed: the tests that need $(PACKAGE) cannot run" >&2; \
	else echo "no $(PACKAGE) here, so its tests are skipped (Debian: apt-get install $(PACKAGE))" >&2; fi

.PHONY: test
test: .make/core postgres mosquitto chromium shells ## cargo test, pytest, the import contracts and the stub of the core
	@mkdir -p .make
	cargo test --workspace --quiet $(LOCKED) 2>&1 | tee .make/cargo-test.log
	$(MAKE) --no-print-directory structure
	$(BIN)/pytest $(PYTEST_WORKERS) $(PYTEST_ARGS) 2>&1 | tee .make/pytest.log
	@$(MAKE) --no-print-directory closing-lines

# What both suites said last; cargo says it once a target, so its counts are added up.
.PHONY: closing-lines
closing-lines:
	@awk '/^test result:/ { ok += $$4; bad += $$6; skip += $$8 } END { printf "cargo test result: %d passed; %d failed; %d ignored\n", ok, bad, skip }' .make/cargo-test.log
	@grep -v '^[[:space:]]*$$' .make/pytest.log | tail -n 1

# The checks that hold the layout; part of `make test` and of `make lint`.
.PHONY: structure
structure: .make/core
	$(BIN)/lint-imports --no-logo --cache-dir .make/import-linter
	$(BIN)/stubtest postbox._core --concise

.PHONY: lint
lint: .make/core structure ## ruff, mypy, import contracts, stubtest, rustfmt, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --cache-dir .make/mypy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet $(LOCKED) -- -D warnings

.PHONY: sizes
sizes: .make/venv ## report files and functions that have grown large
	@PYTHONPATH=tests $(BIN)/python -m structure.sizes

.PHONY: format
format: .make/venv ## rewrite the sources as `make lint` wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt --all

.PHONY: demo
demo: .make/core ## what postbox does, shown and checked; ends by itself
	$(BIN)/postbox demo

.PHONY: pictures
pictures: .make/core chromium ## make the README's pictures again: a demo, its page, its chats
	PYTHONPATH=tests $(BIN)/python -m pictures

.PHONY: bench
bench: .make/core ## the figures of benches/README.md, with 80,000 and 800,000 events
	$(BIN)/postbox bench --events 80000
	$(BIN)/postbox bench --events 800000
	$(BIN)/postbox bench --events 80000 --served
	$(MAKE) --no-print-directory bench-kernel
	$(MAKE) --no-print-directory bench-hosts
	$(MAKE) --no-print-directory bench-clients
	$(MAKE) --no-print-directory bench-client
	$(MAKE) --no-print-directory bench-mesh

.PHONY: bench-kernel
bench-kernel: .make/core postgres ## those of the log on both engines; PARTS="writing ready" for some
	PYTHONPATH=tests:benches $(BIN)/python -m kernel_bench $(PARTS)

.PHONY: bench-hosts
bench-hosts: .make/core postgres ## those of events from host to host; PARTS="posting pending" for some
	PYTHONPATH=tests:benches $(BIN)/python -m hosts_bench $(PARTS)

.PHONY: bench-clients
bench-clients: .make/core postgres ## those of users' devices; PARTS="submits idle" for some
	PYTHONPATH=tests:benches $(BIN)/python -m clients_bench $(PARTS)

.PHONY: bench-client
bench-client: .make/core postgres ## those of the client library; PARTS="making" for some
	PYTHONPATH=tests:benches $(BIN)/python -m client_bench $(PARTS)

.PHONY: bench-mesh
bench-mesh: .make/core ## those of the mesh: recovery, gossip; PARTS="gossip" for some
	PYTHONPATH=tests:benches $(BIN)/python -m mesh_bench $(PARTS)

.PHONY: bench-compare
bench-compare: .make/core ## the same by criterion and pytest-benchmark, beside the runs before
	cargo bench --package ledger_core $(LOCKED)
	$(BIN)/pytest benches --benchmark-enable --benchmark-only --benchmark-autosave --benchmark-compare

SOAK_MINUTES ?= 60

.PHONY: soak
soak: .make/core ## an hour of good and bad clients on one node: memory flat, the good ones served
	PYTHONPATH=tests $(BIN)/python -m soak.soak --minutes $(SOAK_MINUTES)

# CYCLES=n kills each process so often; else it is killed for so many minutes.
ENGINE ?= all
MINUTES ?= 0.4
SEED ?= 1

.PHONY: torture
torture: .make/core postgres ## kill -9 log, hosts, clients' host and clients, 5 minutes; CYCLES=n, ENGINE=library or node, SEED=n
	PYTHONPATH=tests $(BIN)/python -m torture.torture --engine $(ENGINE) --seed $(SEED) $(if $(CYCLES),--cycles $(CYCLES),--minutes $(MINUTES))

# The seeds of two towns are SEED and the next one.
NODES ?= 50

.PHONY: town
town: .make/core ## 50 nodes, a third of them hostile, for some minutes; NODES=n, SEED=n
	POSTBOX_TOWN=$(NODES) POSTBOX_SEED=$(SEED) $(BIN)/pytest tests/cluster/test_mesh_town.py

.PHONY: wheel
wheel: .make/core ## build the wheels of the server and of the client library into dist/
	rm -rf dist
	$(BIN)/maturin build --release --out dist $(LOCKED)
	cd packages/postbox-client && $(CURDIR)/$(BIN)/python -m hatchling build --target wheel --directory $(CURDIR)/dist

# uv resolves for every Python and platform at once; it is needed for this alone, so it gets a
# venv of its own. Run it after a change of the dependencies in pyproject.toml.
.PHONY: constraints
constraints: | tools ## resolve the dependencies again into constraints.txt
	@mkdir -p .make
	test -x .make/uv/bin/uv || { $(PYTHON) -m venv .make/uv && .make/uv/bin/python -m pip install --quiet 'uv==0.13.8'; }
	.make/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml --group dev -o constraints.txt

.PHONY: proto
proto: .make/venv ## generate python/postbox/rpc from proto/ again
	cd proto && buf generate

.PHONY: clean
clean: ## remove everything that a target has made, .venv too
	rm -rf .venv .make dist target .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks
	rm -f python/postbox/*.so
	find python tests benches -name __pycache__ -type d -prune -exec rm -rf {} +
