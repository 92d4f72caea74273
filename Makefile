# Every command a person needs. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
NODE := .node
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help serve demo test check proof mutants bench tools clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

serve: .venv/serve ## install, migrate and serve on 127.0.0.1:8083
	@$(BIN)/python manage.py migrate -v 0
	@$(BIN)/python manage.py bootstrap --first-start
	@exec $(BIN)/python -m bridge_project.server

demo: .venv/serve ## the same, with a simulated OpenRouter as the upstream: no key needed
	@$(BIN)/python -m testing.demo

test: .venv/dev ## check, then the whole suite, on SQLite and on PostgreSQL
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check tools
	@tests/run

check: .venv/dev ## lint, types, import contracts, Django's checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy .
	$(BIN)/python manage.py makemigrations --check --dry-run -v 0
	@PUBLIC_URL=https://bridge.example.com \
	  SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))') \
	  FIELD_ENCRYPTION_KEYS=$$($(BIN)/python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())') \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

proof: .venv/dev tools ## the long proofs: thousands of streams, faults, kills
	$(BIN)/python -m pytest -m proof -p no:cacheprovider -p no:schemathesis
	$(BIN)/python -m testing.postgresql $(BIN)/python -m pytest -m proof -p no:cacheprovider -p no:schemathesis \
	  tests/test_budgets_hold_under_load.py tests/test_proof_of_every_cent.py

mutants: .venv/dev tools ## put one small bug per pitfall into the code: its test must turn red
	$(BIN)/python -m tests.mutants $(PITFALLS)

bench: .venv/dev ## server CPU per request and chunk, beside the bare bound
	$(BIN)/python -m benchmarks $(BENCH)

tools: .venv/dev ## what the tests drive: Claude Code, a browser, redis-server
	@tests/install_tools

clean: ## remove everything that was made here, but not var/ (the data)
	rm -rf .venv .node .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -m venv .venv

.venv/serve: requirements.txt | .venv/bin/python
	@echo "Installing what the server needs; this takes a minute ..."
	@$(BIN)/pip install -q --require-hashes -r requirements.txt
	@touch $@

.venv/dev: requirements.txt requirements-dev.txt | .venv/bin/python
	@echo "Installing what the tests need; this takes a minute ..."
	@$(BIN)/pip install -q --require-hashes -r requirements.txt -r requirements-dev.txt
	@touch $@ .venv/serve
