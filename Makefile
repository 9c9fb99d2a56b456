# The list of verbs. Bare `make` prints them. Needs git, make and Python 3.11 with its venv module; nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV ?= .venv
PY := $(VENV)/bin/python
# Runs a module and ends all that it has started, whatever ends it; our own verbs have that built in.
WARDEN := $(PY) -m tests.kit.warden

# How much of each long verb; say e.g. `make sim N=20000`.
N ?= 2000
SEEDS ?= 2000
CYCLES ?= 20
AGENTS ?= 1000
CHAOS ?=
TRUST ?=
REGISTRY ?= localhost

PROTOS := $(wildcard proto/haulier/v1/*.proto)
SETUP := $(VENV)/.installed
SETUP_BENCH := $(VENV)/.installed-bench
SETUP_PACKAGES := $(VENV)/.installed-packages
say := @printf '\n== %s\n'

.PHONY: help
help: ## Print this list
	@echo 'Haulier. make VERB, where VERB is one of:'
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile

# ---- Setting up ------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(SETUP) ## Make the virtual environment with everything (again only when versions changed)

# The pinned setuptools comes first and builds without isolation, so that even the build uses only pinned versions.
$(SETUP): pyproject.toml constraints.txt
	$(say) 'setup: virtual environment in $(VENV) (the first time takes a minute or two)'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Haulier needs Python 3.11 or newer; say which with: make setup PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
	  || { echo 'No virtual environment could be made; on Debian: apt-get install python3.11-venv' >&2; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

# The peer that bench-steps is compared with; nothing else needs it.
$(SETUP_BENCH): $(SETUP)
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[bench]'
	@touch $@

# Only those who build packages need it.
$(SETUP_PACKAGES): $(SETUP)
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[packages]'
	@touch $@

# ---- The contract ----------------------------------------------------------------------------------------------

.PHONY: proto
proto: $(SETUP) ## Generate the contract's code again, after a change of a .proto file
	@$(PY) -m grpc_tools.protoc -Iproto --python_out=proto --pyi_out=proto --grpc_python_out=proto $(PROTOS)

.PHONY: proto-check
proto-check: $(SETUP) ## Check that the generated code is what the contract says, and that buf finds no fault
	@$(WARDEN) pytest -q tests/repo/test_contract.py

# ---- The manual ------------------------------------------------------------------------------------------------

.PHONY: errors-page
errors-page: $(SETUP) ## Write docs/errors.md again, after a change of a message, a hint or a failure code
	@$(PY) packaging/errors_page.py

# ---- Tests -----------------------------------------------------------------------------------------------------

.PHONY: fmt
fmt: $(SETUP) ## Format the code and mend what can be mended by machine
	@$(VENV)/bin/ruff check --quiet --fix . || true
	@$(VENV)/bin/ruff format --quiet .

.PHONY: lint
lint: $(SETUP) ## Check style, format, types and contract, changing nothing
	$(say) 'lint: ruff, mypy, buf'
	@$(VENV)/bin/ruff check --output-format concise .
	@$(VENV)/bin/ruff format --check --quiet . \
	  || { $(VENV)/bin/ruff format --check .; echo 'Mend it with: make fmt' >&2; exit 1; }
	@$(VENV)/bin/mypy
	@$(VENV)/bin/buf lint

.PHONY: test-unit
test-unit: $(SETUP) ## Run the unit tests; both cores must be covered wholly, branches included
	$(say) 'unit tests, with branch coverage of both cores'
	@mkdir -p build/coverage
	@$(WARDEN) coverage run -m pytest -q tests/unit
	@$(PY) -m coverage report

.PHONY: test
test: $(SETUP) ## Run everything that must hold before a change lands (under 15 minutes on two cores)
	@$(MAKE) lint
	@$(MAKE) test-unit
	$(say) 'simulator: 500 histories'
	@$(MAKE) sim N=500
	$(say) 'chaos: 5 kill cycles'
	@$(MAKE) chaos CYCLES=5
	$(say) 'every other test: repository, contract, integration, system, installation'
	@$(WARDEN) pytest -n 3 --dist loadfile --ignore=tests/unit tests

.PHONY: sim
sim: $(SETUP) ## Search N simulated histories for a broken promise (N=2000)
	@$(PY) -m tests.sim --histories $(N)

.PHONY: sim-mutants
sim-mutants: $(SETUP) ## Plant known bugs one by one; the simulator must find each within SEEDS seeds (SEEDS=2000)
	@$(PY) -m tests.sim --mutants --seeds $(SEEDS)

.PHONY: chaos
chaos: $(SETUP) ## Kill real processes CYCLES times during real migrations (CYCLES=20)
	@$(PY) -m tests.chaos --cycles $(CYCLES)

.PHONY: estate
estate: $(SETUP) ## Move 300 datasets at default timings, mend the bad ones, move all again, clean up
	@$(PY) -m tests.estate

.PHONY: attacks
attacks: $(SETUP) ## Attack releases with real keys: all refused, nothing changed (build/reports/tuf.json)
	@$(PY) -m tests.attacks

.PHONY: rollouts
rollouts: $(SETUP) ## Roll out seeded bad releases to 200 simulated and 5 real agents: each must halt by itself
	@$(PY) -m tests.rollouts

.PHONY: zombies
zombies: $(SETUP) ## Stop writers in the middle of a publish, replace them, wake them: nothing may change
	@$(PY) -m tests.system.zombies --all

.PHONY: hostile-controlplane
hostile-controlplane: $(SETUP) ## Let a control plane that was taken over say its worst to a real agent
	@$(WARDEN) pytest -q -s tests/security

.PHONY: floods
floods: $(SETUP) ## Flood a control plane by every means while honest agents' heartbeats are timed
	@$(PY) -m tests.floods

.PHONY: test-system
test-system: $(SETUP_PACKAGES) ## Install the packages under a real systemd, kill, upgrade, purge (root; 10 min)
	@$(PY) -m tests.install.system

.PHONY: test-containers
test-containers: $(SETUP_PACKAGES) ## Build, push, pull and run the images; check the chart (root; 5 min)
	@$(PY) -m tests.install.containers

.PHONY: upgrades
upgrades: $(SETUP) ## Upgrade a real agent N times in a row while it copies (N=100 unless given)
	@$(PY) -m tests.system.upgrades --cycles $(if $(filter command line environment,$(origin N)),$(N),100)

.PHONY: updater-crashes
updater-crashes: $(SETUP) ## Kill the updater at each call that changes something; only old or new may be there
	@$(PY) -m tests.system.updater_crashes

# ---- Shipping it -----------------------------------------------------------------------------------------------

.PHONY: packages
packages: $(SETUP_PACKAGES) ## Build debs, rpms, tarballs into dist/; TRUST=root.json: what agents trust
	@$(WARDEN) packaging/packages.py --output dist $(if $(TRUST),--trust $(TRUST))

.PHONY: images
images: $(SETUP_PACKAGES) ## Build both container images with podman, tagged for REGISTRY
	@$(WARDEN) packaging/images.py --registry $(REGISTRY)

# ---- Seeing it work --------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(SETUP) ## Move real tables between every datastore and prove it; CHAOS=1 kills processes meanwhile
	@$(PY) -m tests.demo $(if $(filter-out 0,$(CHAOS)),--chaos)

.PHONY: up
up: $(SETUP) ## Start the demo's world and keep it running
	@$(PY) -m tests.demo up

.PHONY: down
down: $(SETUP) ## Stop what `make up` started
	@$(PY) -m tests.demo down

# ---- Figures ---------------------------------------------------------------------------------------------------

.PHONY: bench
bench: ## Measure everything: steps, then fleet
	@$(MAKE) bench-steps
	@$(MAKE) bench-fleet

.PHONY: bench-steps
bench-steps: $(SETUP_BENCH) ## Measure durable steps a second, dispatch latency and cost, beside a peer
	@$(PY) -m tests.bench.steps

.PHONY: bench-fleet
bench-fleet: $(SETUP) ## Measure memory, CPU and noticing times with AGENTS connected agents (AGENTS=1000)
	@$(PY) -m tests.bench.fleet --agents $(AGENTS)

# ---- Tidying ---------------------------------------------------------------------------------------------------

.PHONY: clean
clean: ## Remove what other verbs made, except the virtual environment and the demo's world
	@rm -rf build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
