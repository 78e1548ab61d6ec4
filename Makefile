# Everything a fresh machine needs is made here: Python >= 3.11 with venv, make and git are enough.
PYTHON ?= python3
BIN := .venv/bin
OPA_BINARY = $(shell $(PYTHON) tools/binaries.py opa)
REGAL_BINARY = $(shell $(PYTHON) tools/binaries.py regal)

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/.ready: pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version)'
	@echo "installing the gateway and its tools into .venv (a minute or so, once) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: which-opa which-regal
which-opa: ## the OPA binary in use (found, or built at the pinned version)
	@$(PYTHON) tools/binaries.py opa
which-regal: ## the Regal binary in use
	@$(PYTHON) tools/binaries.py regal

.PHONY: demo demo-policy run
demo: .venv/.ready ## a short session of three identities against two MCP servers, then stop
	@OPA="$(OPA_BINARY)" exec $(BIN)/python -m examples.demo play
demo-policy: .venv/.ready ## its second act: a rule is changed, previewed, shadowed, rolled out, explained, rolled back
	@OPA="$(OPA_BINARY)" exec $(BIN)/python -m examples.demo policy
run: .venv/.ready ## the same servers and gateway, left running, with how to connect
	@OPA="$(OPA_BINARY)" exec $(BIN)/python -m examples.demo run

.PHONY: test lint types policy pytest
test: lint types policy pytest ## everything that CI checks
lint: .venv/.ready ## format and lint of the Python code
	@echo "== ruff" && $(BIN)/ruff format --check -q . && $(BIN)/ruff check -q .
types: .venv/.ready ## mypy, strictly
	@echo "== mypy" && $(BIN)/mypy
policy: .venv/.ready ## everything that `mcp-gateway policy check` says of the policies
	@echo "== mcp-gateway policy check"
	@OPA="$(OPA_BINARY)" REGAL="$(REGAL_BINARY)" $(BIN)/mcp-gateway policy check --beside deploy/opa
# Most of a test's time is waiting for processes that start. The tests of a file stay together: they share what they started.
WORKERS ?= 2
pytest: .venv/.ready ## the tests of the gateway, two files at a time (WORKERS=0: one after another)
	@OPA="$(OPA_BINARY)" $(BIN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: bench soak
bench: .venv/.ready ## measure direct and through the gateway, side by side (some minutes; writes bench/results.json)
	@OPA="$(OPA_BINARY)" $(BIN)/python -m bench.run
soak: .venv/.ready ## 100,000 calls through the gateway, and whether its memory stays flat
	@OPA="$(OPA_BINARY)" $(BIN)/python -m bench.soak

.PHONY: conformance compose-test
conformance: .venv/.ready ## the official MCP suite, directly and through the gateway, compared check by check
	@OPA="$(OPA_BINARY)" $(BIN)/python -m tests.conformance.run
compose-test: .venv/.ready ## build and run compose.yaml with podman, play the demo against it, take it down
	@OPA="$(OPA_BINARY)" $(BIN)/python -m tools.compose_test
