# Everything runs from .venv, which `make setup` creates from locked requirements.
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8000
DATA_DIR ?= data
BIN := .venv/bin
STAMP := .venv/.installed


.PHONY: help setup recommend serve test test-deep train-networks train-toys bench-neural bench-networks bench-toys bench-curves bench-gpu chaos soak bench check format lock meta-dataset-page openapi clean

help: ## show this list
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

setup: $(STAMP) ## create .venv from the locked requirements

$(STAMP): requirements/dev.txt pyproject.toml scripts/setup.sh
	@PYTHON=$(PYTHON) bash scripts/setup.sh
	@touch $@

recommend: $(STAMP) ## recommend for DATA=file.csv TARGET=column (without them: a small example), verify, write out/
	@$(BIN)/metaselect recommend $(if $(DATA),"$(DATA)",--example) $(if $(TARGET),--target "$(TARGET)") --out out

serve: $(STAMP) ## the service in embedded mode on 127.0.0.1:PORT, keeping its data in DATA_DIR
	@$(BIN)/metaselect serve --port $(PORT) --data-dir "$(DATA_DIR)"

test: $(STAMP) ## every test, on servers of its own
	@$(BIN)/pytest $(ARGS)

test-deep: .venv-deep/.installed ## tests of the neural learners, in .venv-deep with PyTorch and its CUDA libraries (5 GB)
	@PYTHONPATH=. .venv-deep/bin/python -m pytest -m deep $(ARGS)

train-networks: .venv-deep/.installed ## train the networks of docs/networks.md that rank, with WORKERS processes (1); goes on where it was cut off
	@PYTHONPATH=. .venv-deep/bin/python -m workers.training train-networks --workers $(or $(WORKERS),1)

train-toys: .venv-deep/.installed ## train the networks of docs/learning-to-learn.md that have no weights (needs OMNIGLOT=folder)
	@PYTHONPATH=. .venv-deep/bin/python -m workers.networks.toys

bench-neural: bench-networks bench-toys bench-curves bench-fewshot ## everything that networks learn (needs OMNIGLOT, DATASETS and MATRICES, all folders)

bench-networks bench-toys bench-curves bench-gpu: .venv-deep/.installed ## what is measured with PyTorch: networks that rank, toys (needs OMNIGLOT=folder), learning curves (the first and the third take MATRICES=folder), a GPU against the CPU
	@PYTHONPATH=. .venv-deep/bin/python -m benchmarks.$(@:bench-%=%)

.venv-deep/.installed: $(STAMP) requirements/deep.txt requirements/dev.txt
	@[ -d .venv-deep ] || $(BIN)/uv venv --quiet .venv-deep
	@$(BIN)/uv pip install --quiet --python .venv-deep/bin/python --require-hashes \
	    -r requirements/deep.txt -r requirements/dev.txt
	@touch $@

chaos: $(STAMP) ## everything that may happen to the service, in three set-ups; goes on where it was cut off (build/chaos)
	@$(BIN)/python -m chaos $(ARGS)

soak: $(STAMP) ## full load on every core for MINUTES (60): no living job is taken for dead
	@$(BIN)/python -m chaos.soak --minutes $(or $(MINUTES),60) $(ARGS)

bench: bench-recommender bench-metafeatures bench-families bench-hostile bench-experiments bench-verification bench-api bench-jobs ## every benchmark; results in benchmarks/results/

bench-%: $(STAMP) ## one benchmark: recommender, metafeatures (DATASETS=folder compares more), families, hostile, experiments (DATASETS too), verification, api, jobs, stacking, search, fewshot and evidence (need DATASETS)
	@$(BIN)/python -m benchmarks.$*

check: $(STAMP) ## ruff, mypy strict, import contracts, migrations against the tables
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/check_migrations.py

openapi: $(STAMP) ## write openapi.json anew after a change of the API
	@$(BIN)/python scripts/write_openapi.py

meta-dataset-page: $(STAMP) ## write the tables and figures of docs/meta-dataset.md from what ships
	@$(BIN)/python -m scripts.write_meta_dataset_page

format: $(STAMP) ## rewrite the sources as the checks want them
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: $(STAMP) ## compile requirements/*.txt anew from pyproject.toml
	@bash scripts/lock.sh

clean: ## remove what the commands above made, data included
	@rm -rf .venv .venv-deep out data build .mypy_cache .ruff_cache .pytest_cache .hypothesis
