# make demo | test | test-long | bench | bench-identity | bench-fleet | bench-flood | sim | sim-bugs | mutants | lint | coverage | format | clean
# Everything is set up on the first call from Python >= 3.11; make PYTHON=/path/to/python3 names another interpreter.

# The stamp knows the folder: a copied or moved working copy would otherwise go on using the environment of the old place.
STAMP := .venv/stamp-$(shell pwd | cksum | cut -d ' ' -f 1)
BIN := .venv/bin
JOBS ?= 2
export PYTHON
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# Foreign packages on the caller's path would be tested instead of the pinned ones.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help demo test test-long bench bench-identity bench-fleet bench-flood sim sim-bugs mutants lint types types-windows coverage format venv clean
.DEFAULT_GOAL := help

help:
	@sed -n 1,2p Makefile

$(STAMP): pyproject.toml constraints.txt .ci/venv
	@.ci/venv $@

venv: $(STAMP)

demo: $(STAMP)
	@$(BIN)/syncd demo $(ARGS)

test: lint
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

test-long: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m long $(ARGS)

# make sim SEEDS=1000 runs as many seeds; make sim SEED=17 replays one, and shortens it to the fewest actions that fail.
sim: $(STAMP)
	@$(BIN)/python -m tests.sim $(if $(SEED),--seed=$(SEED)) $(if $(SEEDS),--seeds=$(SEEDS)) $(ARGS)

# Ten bugs planted one by one: how many seeds until each is found. ARGS="prune grant" looks for these alone.
sim-bugs: $(STAMP)
	@$(BIN)/python -m tests.sim --bugs $(ARGS)

bench: $(STAMP)
	@$(BIN)/python -m bench.run $(ARGS)

# Precision and recall of finding rows that are one person. ARGS="--persons 1300000 --units 262" is a whole province.
bench-identity: $(STAMP)
	@$(BIN)/python -m bench.identity $(ARGS)

# One hub with many children over TLS. ARGS="--children 100 1000 --database sqlite" names sizes and databases.
bench-fleet: $(STAMP)
	@$(BIN)/python -m bench.fleet $(ARGS)

# How long a neighbour's hello and the write lock wait under a flood of silent connections and large questions.
bench-flood: $(STAMP)
	@$(BIN)/python -m bench.flood $(ARGS)

# Mutation tests of conflict/; ARGS="settle decide" tries these files alone. Its tools are installed here and only here.
mutants: $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt --no-build-isolation -e '.[mutants]'
	$(BIN)/python -m tools.mutants $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory -j 2 types types-windows

types types-windows: $(STAMP)
	$(BIN)/mypy $(if $(findstring windows,$@),--platform win32 --cache-dir .mypy_cache/win32 syncd schema conflict)

coverage: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --cov --cov-report=term-missing:skip-covered $(ARGS)

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov build dist
