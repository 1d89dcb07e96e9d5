# The commands of a checkout; needs python3 (3.11 or later) with venv, and make.
#
#   make demo          simulated tomography beamline: scan, file, reconstruction, in demo-data/
#   make demo DEMO=mx  another technique; all of them: make demos
#   make test          lint, types, import contracts, tests
#   make wheel-test    the built wheel, installed elsewhere, runs the demo
#   make bench         how fast, against what (see benchmarks/README.md); fails nothing
#   make soak          kills 200 sessions and 200 writer processes at random moments; half an hour
#   make format        puts the code into the form that `make test` asks for
#   make constraints   makes constraints.txt again, with the newest versions that fit together
#   make clean         removes the environment and what was built

PYTHON ?= python3
VENV := .venv
DEMO ?= tomo
# Tests side by side; the tests of one module stay together.
WORKERS ?= 2
BIN := $(VENV)/bin
PIP_INSTALL := -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
PINS := pyproject.toml constraints.txt

.DELETE_ON_ERROR:
.PHONY: demo demos test wheel-test bench soak format constraints clean

demo: $(VENV)/.demo
	$(BIN)/nexus-callbacks demo $(DEMO) -o demo-data

demos: $(VENV)/.demo
	for name in $$($(BIN)/nexus-callbacks demo --list); do $(BIN)/nexus-callbacks demo "$$name" -o demo-data || exit; done

test: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

format: $(VENV)/.test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The stamps depend on what decides the environment, so that a second run installs nothing.
$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "nexus-callbacks needs Python 3.11 or later: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python cannot make virtual environments. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.venv $(PINS)
	@echo "Installing into $(VENV) (a minute or two, once)"
	$(BIN)/python $(PIP_INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.venv $(PINS)
	@echo "Installing into $(VENV), with what the tests need (a minute or two, once)"
	$(BIN)/python $(PIP_INSTALL) --editable '.[test]'
	@touch $@ $(VENV)/.demo

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

# The seeds are printed, as a part of each test's name: NEXUS_SOAK="SEED …" repeats what went wrong.
SOAK := $(BIN)/python -c 'import random; print(*random.sample(range(10**9), 200))'
soak: $(VENV)/.test
	NEXUS_SOAK="$${NEXUS_SOAK:-$$($(SOAK))}" $(BIN)/pytest -v \
	  tests/experiments/test_nothing_is_lost.py tests/experiments/test_writer_process.py \
	  -k "test_a_killed_session_loses_no_event or test_when_it_is_killed_another_takes_over"

# Away from the checkout, so that nothing is found in it by accident.
wheel-test: $(VENV)/.venv
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(BIN)/python -m pip wheel --disable-pip-version-check --quiet --no-deps --wheel-dir "$$folder" . && \
	cp constraints.txt "$$folder" && cd "$$folder" && \
	$(PYTHON) -m venv env && \
	wheel=$$(echo ./nexus_callbacks-*.whl) && \
	env/bin/python $(PIP_INSTALL) "$$wheel[demo]" && \
	for name in $$(env/bin/nexus-callbacks demo --list); do \
	  echo "demo $$name" && env/bin/nexus-callbacks demo "$$name" -o "made/$$name" --json > "$$name.json" 2> "$$name.log" || \
	    { cat "$$name.log" "$$name.json"; exit 1; }; \
	  env/bin/nexus-callbacks validate "$$(env/bin/python -c 'import json, sys; print(json.load(open(sys.argv[1]))["dataset_file"])' "$$name.json")" || exit 1; \
	done && \
	echo "The wheel works."

constraints:
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m venv "$$folder/env" && \
	"$$folder/env/bin/python" -m pip install --disable-pip-version-check --quiet '.[test]' && \
	{ echo "# The versions that the tests ran with. Made by: make constraints"; \
	  "$$folder/env/bin/python" -m pip freeze --disable-pip-version-check --exclude nexus-callbacks; } > "$$folder/constraints.txt" && \
	mv "$$folder/constraints.txt" constraints.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
