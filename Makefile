# Handrail's commands. `make help` lists them. Needs: make, Python 3.11 and 3.10 (or uv, which fetches what is missing).
.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -c
APP := .venv/app
RASA := .venv/rasa
BIN := $(APP)/bin
UV := $(shell command -v uv 2>/dev/null)

# $(call make_env,folder,python version,requirements file,make target): a fresh environment with exactly the pinned
# packages, compiled to bytecode at once: a server that must answer in seconds cannot compile what it imports. The .ready
# file is written last: a folder without it is half made and is made again.
define make_env
	if [ -d $(1) ] && [ ! -f $(1)/.ready ]; then echo "$(1) was half made; making it again"; fi
	rm -rf $(1)
	if [ -n "$(UV)" ]; then \
	  uv venv --quiet --python $(2) $(1) && uv pip install --quiet --compile-bytecode --python $(1)/bin/python --require-hashes -r $(3); \
	elif python$(2) --version >/dev/null 2>&1; then \
	  python$(2) -m venv $(1) && $(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(3); \
	else \
	  echo "Python $(2) is missing: install it, or install uv (pip install uv), which fetches it; then make $(4)" >&2; exit 1; \
	fi
endef

.PHONY: help run test check soak bench clean app-env rasa-env test-env
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: app-env rasa-env ## set up what is missing, train when data changed, start everything, print the addresses
	@exec $(BIN)/handrail serve

test: test-env rasa-env ## set up and run every test (what needs an absent service is skipped with its reason)
	@$(BIN)/handrail train
	@$(BIN)/python -m pytest -m "not soak"

check: test-env rasa-env ## format, lint, types, content, Rasa's own validation
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/handrail content check
	@RASA_TELEMETRY_ENABLED=false LOG_LEVEL=WARNING $(RASA)/bin/rasa data validate --fail-on-warnings
	@echo "check: all good"

soak: test-env rasa-env ## the long promise tests: 200 kills, long loads, two of everything
	@$(BIN)/handrail train
	@$(BIN)/python -m pytest -m soak --timeout 3600

bench: test-env rasa-env ## measure the figures beside their peers, into benchmarks/results/
	@$(BIN)/handrail train
	@$(BIN)/python -m benchmarks.conversations
	@$(BIN)/python -m benchmarks.conversations --restart
	@$(BIN)/python -m benchmarks.faults
	@$(BIN)/python -m benchmarks.beside_stock
	@$(BIN)/python -m benchmarks.texting
	@$(BIN)/python -m benchmarks.replicas
	@$(BIN)/python -m benchmarks.streams
	@$(BIN)/python -m benchmarks.soak

clean: ## remove both environments (not the state in .handrail/)
	rm -rf .venv

app-env: $(APP)/.ready ## the environment of desk, console and actions
rasa-env: $(RASA)/.ready ## the environment of the Rasa server
test-env: $(APP)/.tests-ready ## the app environment with the test tools

$(APP)/.ready: requirements/app.txt pyproject.toml
	@echo "Making $(APP) (desk, console, actions) ..."
	@$(call make_env,$(APP),3.11,requirements/app.txt,app-env)
	@if [ -n "$(UV)" ]; then uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; fi
	@$(BIN)/python -m compileall -q bot actions
	@touch $@

$(RASA)/.ready: requirements/rasa.txt
	@echo "Making $(RASA) (the Rasa server; about 2 GB) ..."
	@$(call make_env,$(RASA),3.10,requirements/rasa.txt,rasa-env)
	@touch $@

$(APP)/.tests-ready: $(APP)/.ready requirements/test.txt
	@echo "Adding the test tools to $(APP) ..."
	@if [ -n "$(UV)" ]; then uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/test.txt; \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt; fi
	@touch $@

lock: ## resolve requirements/*.in again into the hashed files (needs uv and a network)
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --python-version 3.11 requirements/app.in -o requirements/app.txt
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --python-version 3.11 requirements/test.in -o requirements/test.txt
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --python-version 3.10 requirements/rasa.in -o requirements/rasa.txt

licences: test-env rasa-env ## write docs/licences.md from what is installed (needs uv and a network)
	@$(BIN)/python requirements/licences.py

audit: ## look for known vulnerabilities in the pinned packages (needs uv and the registry's advisories)
	@for each in app rasa; do echo "$$each:"; uv tool run --quiet pip-audit -r requirements/$$each.txt --require-hashes --disable-pip --progress-spinner off || exit 1; done

.PHONY: lock licences audit
