# Everything a fresh machine needs is made here: Python >= 3.11 with venv, make and git are enough.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/.ready: pyproject.toml requirements.txt
	@echo "installing the gateway and its tools into .venv …"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version)'
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: which-opa which-regal
which-opa: ## the OPA binary in use (found, or built at the pinned version)
	@$(PYTHON) tools/binaries.py opa
which-regal: ## the Regal binary in use
	@$(PYTHON) tools/binaries.py regal
