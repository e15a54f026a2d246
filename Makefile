# Every verb does its own set-up. Start with `make demo`.

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
LOCKS  := requirements/build.txt requirements/run.txt requirements/dev.txt
PYTHON ?=
# A list of tests or options for pytest: make test TESTS=tests/protocol
TESTS  ?=
# Worker processes for tests and rigs: one per core, and at most four, as many tests talk to real sockets and disks.
JOBS   ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -gt 4 ] && n=4; echo $$n)

# An environment that came along when this folder was copied or moved still points to the old place: build it anew.
ifneq ($(wildcard $(STAMP)),)
$(shell grep -qsF "$(CURDIR)/$(VENV)/bin/python" $(BIN)/pip || rm -f $(STAMP))
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test check sim torture kill fuzz flood mutants coverage format bench docs lock clean

# Figures of a long run: RECORD=1 adds them to docs/reliability.json. OPTIONS= goes to the rig as it stands.
SEEDS   ?= 200
POINTS  ?= 20000
KILLS   ?= 40
SECONDS ?= 60
OPTIONS ?=
RIG_OPTIONS = $(if $(RECORD),--record) $(OPTIONS)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with everything in it

$(STAMP): pyproject.toml $(LOCKS) .ci/setup
	@PYTHON="$(PYTHON)" .ci/setup
	@touch $@

demo: $(STAMP) ## see a server, a terminal and a lunch rush at work
	@$(BIN)/fanka demo

test: $(STAMP) ## run the tests (TESTS= to choose, JOBS= worker processes)
	@$(BIN)/python -m pytest -q -n $(JOBS) $(TESTS)

check: $(STAMP) ## format, lint, types, import contracts, generated docs
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	@if [ -e tools/docs.py ] || [ -e tools/docs/__init__.py ]; then \
		echo "$(BIN)/python -m tools.docs --check"; $(BIN)/python -m tools.docs --check; fi

sim: $(STAMP) ## simulated campuses under faults (SEEDS= how many, SEED= replays one)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --jobs $(JOBS)) $(RIG_OPTIONS)

torture: $(STAMP) ## power cuts and failing disks at every operation (POINTS= crash points)
	@$(BIN)/python -m tests.torture --points $(POINTS) --jobs $(JOBS) $(RIG_OPTIONS)

kill: $(STAMP) ## kill -9 of real hosts on both stores (KILLS= how many)
	@$(BIN)/python -m tests.kill --kills $(KILLS) --store both $(RIG_OPTIONS)

fuzz: $(STAMP) ## every parser of outside input (SECONDS= how long)
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(RIG_OPTIONS)

flood: $(STAMP) ## honest terminals while others attack
	@$(BIN)/python -m tests.floods $(RIG_OPTIONS)

mutants: $(STAMP) ## bugs planted on purpose: the rigs have to find each
	@$(BIN)/python -m tests.mutants --jobs $(JOBS) $(RIG_OPTIONS)

coverage: $(STAMP) ## every branch of protocol, ledger and rules is run by a test, or this fails
	@$(BIN)/python -m pytest -q -n $(JOBS) --cov=protocol --cov=server.ledger --cov-branch --cov-fail-under=100 \
		--cov-report=term-missing:skip-covered tests/protocol tests/security tests/server tests/tools tests/torture

format: $(STAMP) ## put the source into its one format
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: $(STAMP) ## measure throughput and latency, write bench.json
	@$(BIN)/python -m tools.bench

docs: $(STAMP) ## write the generated parts of the documentation anew
	@$(BIN)/python -m tools.docs --write

# The only verb that needs uv. It goes into a throw-away environment, and its output names no registry.
UV_COMPILE = "$$uv" pip compile -q --no-config --no-strip-extras --universal --python-version 3.11 --generate-hashes --no-header $(LOCK_OPTIONS)
lock: ## resolve the requirements anew (LOCK_OPTIONS=--upgrade for newer versions)
	@set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	python3 -m venv "$$tmp"; "$$tmp/bin/pip" install -q --disable-pip-version-check uv; uv="$$tmp/bin/uv"; \
	$(UV_COMPILE) requirements/build.in -o requirements/build.txt; \
	$(UV_COMPILE) pyproject.toml -c requirements/build.txt --extra dev -o requirements/dev.txt; \
	$(UV_COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/run.txt; \
	echo "lock: see what changed with git diff requirements"

clean: ## remove the environment and everything that was built
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
