# Two jobs: `make demo` (train, compare, report, and how to open the live page) and `make test`. Each makes .venv when it is not there.
PYTHON ?= python3
VENV := .venv
# Where there is no NVIDIA GPU, and no local folder of wheels is set, PyTorch's own index has the build without CUDA.
CPU_INDEX := $(shell command -v nvidia-smi >/dev/null 2>&1 || [ -n "$$PIP_FIND_LINKS" ] || echo "--extra-index-url https://download.pytorch.org/whl/cpu")

.PHONY: demo test lint browser docs install clean

demo: $(VENV)/pages
	$(VENV)/bin/immiscible compare digits --out runs/demo
	@echo "Open runs/demo/report.html in a browser: it says what happened."
	@echo "Touch the models on a page of this machine: $(VENV)/bin/immiscible demo runs/demo"

test: lint browser
	$(VENV)/bin/pytest -n 2 --dist worksteal

lint: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# Chromium for the tests of pages: the one that is there, Debian's (as root), or Playwright's; without one they are skipped.
browser: $(VENV)/dev
	@command -v chromium >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && timeout 60 apt-get update -q && timeout 180 apt-get install -q -y chromium; } || \
	timeout 120 $(VENV)/bin/playwright install chromium || echo "No Chromium: the tests of pages will be skipped."

docs: $(VENV)/dev
	$(VENV)/bin/mkdocs build --strict

install: $(VENV)/dev

# A stamp for each set of extras, written last, so that an interrupted installation starts again.
$(VENV)/%: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(CPU_INDEX) --constraint constraints.txt --editable '.[$*]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
