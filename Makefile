# The commands of the project. `make` alone lists them. `demo` and `test` set everything up by themselves.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full lint bench lock secrets compose-smoke
BIN := .venv/bin
# Three at a time on two cores: half of the tests' time is waiting (for leases, restarts, deadlines). Files stay whole,
# and begin in the order of tests/conftest.py: xdist's own puts those with the fewest tests last, which are the longest.
# Bytecode is kept even where the environment says not to: every process of a run would compile what has changed, and
# pytest would rewrite all 220 test files in each of the three.
ONE := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest
PYTEST := $(ONE) -n 3 --dist loadfile --no-loadscope-reorder
# Deadlines are missed where three processes share two cores with somebody else's work: what failed is run once more with
# the machine to itself, and the run fails if that fails. Both are shown.
ALONE := { echo "== what failed, once more, by itself"; $(ONE) --last-failed --last-failed-no-failures none; }

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## create .venv from requirements.lock, once (PYTHON=.. chooses the interpreter)
	@.ci/setup

demo: setup ## show the whole farm at work: no keys, no network, no Docker; Ctrl-C stops it
	@$(BIN)/tickfarm demo

test: setup ## run the tests (no network, no Docker)
	@$(PYTEST) -m "not full" || $(ALONE)

test-full: setup ## run all tests, the long ones too
	@$(PYTEST) || $(ALONE)

lint: setup ## check style, types and import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## measure throughput and latency on this machine
	@$(BIN)/python -m benchmarks ingest

secrets: ## make the passwords of docker-compose.yml, each once, in deploy/secrets
	@deploy/make_secrets.sh

compose-smoke: secrets ## start the farm in containers, look at it, stop it and delete its data (needs Docker)
	@TICKFARM_SANDBOX_URL=http://sandbox:8700 docker compose -p tickfarm-smoke --profile demo up -d --build --wait
	@docker compose -p tickfarm-smoke run --rm --no-deps migrate tickfarm doctor; code=$$?; \
	docker compose -p tickfarm-smoke --profile demo down --volumes --timeout 100; exit $$code

lock: setup ## bring requirements.lock in line with pyproject.toml (LOCK_OPTIONS=--upgrade: with newer versions)
	@cp requirements.lock .venv/lock.txt
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet -o .venv/lock.txt $(LOCK_OPTIONS)
	@{ echo "# Every package with its hashes, for Python 3.11 and up. Made from pyproject.toml by: make lock"; \
	cat .venv/lock.txt; } > requirements.lock
