# Everything runs in a virtual environment of its own, made on first use from pyproject.toml and
# constraints.txt; what is installed on the machine doesn't matter.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

.PHONY: install demo test test-all check format docs minis minis-check clean

install: $(VENV)/.ready $(VENV)/faces/models/centerface

# The face detector, for tests; without a network they say that they were skipped.
$(VENV)/faces/models/centerface: | $(VENV)/.ready
	-LIMNER_HOME=$(VENV)/faces $(BIN)/limner models pull --yes centerface

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	# It refuses Pillow 13, with which it works: its other requirements are in the group dev.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps trackio
	touch $@

demo: install
	$(BIN)/limner demo --out demo

# What a developer runs after a change; test-all adds the tests that are marked slow, and CI runs that.
test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: install
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install
	$(BIN)/python docs/build.py

# Trains all the models that ship, from nothing: see minis/README.md for hours and order. Recipes go
# on where they were stopped; what is finished is trained anew once minis/out is deleted.
minis: install
	$(BIN)/python -m minis.recipes.vae
	$(BIN)/python -m minis.recipes.clip
	$(BIN)/python -m minis.recipes.owlvit
	$(BIN)/python -m minis.recipes.sam
	$(BIN)/python -m minis.recipes.dino
	$(BIN)/python -m minis.recipes.painter
	$(BIN)/python -m minis.recipes.painter_canvas
	$(BIN)/python -m minis.recipes.blip
	$(BIN)/python -m limner.registry.bundled

# Scores them; fails when one is worse than recorded. MINIS=--quick is what CI runs; names of parts
# (MINIS="sam owlvit") measure those alone, --record keeps the numbers.
minis-check: install
	$(BIN)/python -m minis.check $(MINIS)

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
