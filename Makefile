# Everything runs in a virtual environment of its own, made on first use from pyproject.toml and
# constraints.txt; what is installed on the machine doesn't matter.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
# Tools that need neither limner nor torch, so that these targets are quick on a new machine.
TOOLS   = $(VENV)/tools
PYTHONS ?= 3.11 3.12 3.13
# What test-lowest and test-pythons run: TESTS="tests/ops tests/io" for a part.
TESTS   ?= tests
# The extras whose lowest versions are tried as well: the others bring torchvision, need a
# GPU (bitsandbytes) or hold Pillow back (trackio).
LOWEST_EXTRAS ?= comet fastsam heif optuna postgres tensorboard vlm

.PHONY: install demo test test-all test-lowest test-pythons check format docs site dist hooks minis \
  minis-check clean

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

# The lowest versions that pyproject.toml allows, on the lowest Python: docs/releasing.md. Old versions
# call what newer ones deprecate, which isn't limner's.
test-lowest: $(TOOLS)/.ready
	$(TOOLS)/bin/uv venv --quiet --clear --python $(firstword $(PYTHONS)) build/lowest
	$(TOOLS)/bin/uv pip compile --quiet --resolution lowest-direct --python build/lowest/bin/python \
	  $(LOWEST_EXTRAS:%=--extra %) pyproject.toml --output-file build/lowest.txt
	$(TOOLS)/bin/uv pip install --quiet --python build/lowest/bin/python --requirement build/lowest.txt \
	  --editable . --group test
	build/lowest/bin/python -m pytest -n 2 --dist worksteal -m "not slow" \
	  -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning $(TESTS)

# The pinned versions on each Python; those that aren't on this machine are fetched by uv.
test-pythons: $(TOOLS)/.ready
	set -e; for version in $(PYTHONS); do \
	  $(TOOLS)/bin/uv venv --quiet --clear --python $$version build/python$$version; \
	  $(TOOLS)/bin/uv pip install --quiet --python build/python$$version/bin/python \
	    --constraint constraints.txt --editable . --group dev; \
	  build/python$$version/bin/python -m pytest -n 2 --dist worksteal -m "not slow" $(TESTS); \
	done

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install
	$(BIN)/python docs/build.py

$(TOOLS)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(TOOLS)/bin/python -m pip install --quiet --constraint constraints.txt \
	  --group hooks --group pythons --group release --group site
	touch $@

# The documentation with its search and the reference of the public names, as site/index.html: opened as a file
# or served from anywhere, it loads nothing from elsewhere. A link that leads nowhere fails.
site: $(TOOLS)/.ready
	$(TOOLS)/bin/python docs/site_pages.py

# What a release uploads: docs/releasing.md.
dist: $(TOOLS)/.ready
	$(TOOLS)/bin/python .ci/release.py
	rm -rf dist
	$(TOOLS)/bin/python -m build --no-isolation --outdir dist
	$(TOOLS)/bin/python -m twine check --strict dist/*

# The same ruff before each commit, by .pre-commit-config.yaml.
hooks: $(TOOLS)/.ready
	$(TOOLS)/bin/pre-commit install

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
	rm -rf $(VENV) demo build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
