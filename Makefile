# Two commands matter to a newcomer: `make demo` and `make test`. Both set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CONTRACTS := $(VENV)/contracts/.ready
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
export DO_NOT_TRACK := 1

.PHONY: demo test test-system check bench docs lock clean help

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

# uv installs with hashes and compiles bytecode; without bytecode Great Expectations takes 14 s to import, every time.
$(READY): requirements/all.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Countersign needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 2; }
	@echo "Setting up $(VENV) from the locked requirements (about two minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements/all.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Vendors' own descriptions of their APIs: two wheels that are read as archives and never installed.
$(CONTRACTS): requirements/contracts.txt $(READY)
	@rm -rf $(@D)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes -r $< -d $(@D)
	@touch $@

demo: $(READY) ## Start the sandbox clouds, run one night on them, say what to look at
	@$(BIN)/countersign demo $(DEMO)

test: $(CONTRACTS) ## Run every test that needs nothing beyond what pip brings
	@$(BIN)/python -m pytest $(or $(TEST),tests -n 2 --dist loadfile)

test-system: $(CONTRACTS) ## Run the tests that need Debian's packages (chromium, openssl, openssh, git, postgresql, pango, Request Tracker)
	@$(BIN)/python -m pytest $(or $(TEST),tests/system -n 2 --dist loadfile)

check: $(READY) ## Lint, types, import rules, unused dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .

bench: $(READY) ## Measure against the goals (fifteen to twenty minutes); choose with BENCH="aws judge"
	@$(BIN)/python -m benchmarks $(BENCH)

docs: $(READY) ## Write what is made from the program: pages of the controls and privileges, deployments/permissions/, the help in README.md
	@$(BIN)/python docs/generate_controls.py
	@$(BIN)/python docs/generate_privileges.py
	@$(BIN)/python docs/generate_permissions.py
	@$(BIN)/python docs/generate_help.py

lock: $(READY) ## Renew the locked requirements from pyproject.toml
	@$(COMPILE) --all-extras pyproject.toml -o requirements/all.txt
	@$(COMPILE) pyproject.toml -c requirements/all.txt -o requirements/run.txt
	@$(COMPILE) --no-deps requirements/contracts.in -o requirements/contracts.txt

clean: ## Remove .venv and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
