# Everything a person types. Needs make and Python 3.11 or newer; all else comes into .venv.

PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
VENV := .venv/bin/python
N ?=
ONLY ?=
ROWS ?=

.PHONY: run test soak bench demo lint pins venv dev

run: venv
	@exec $(VENV) app.py up

test: dev
	@exec $(VENV) -m pytest -n 2 --dist loadgroup $(ARGS)

soak: dev
	@SOAK_N="$(N)" exec $(VENV) -m pytest -m soak -s $(ARGS)

bench: dev
	@BENCH_ONLY="$(ONLY)" BENCH_ROWS="$(ROWS)" exec $(VENV) -m bench

demo: venv
	@exec $(VENV) app.py demo $(ARGS)

lint: dev
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy
	.venv/bin/lint-imports
	$(VENV) app.py db check

# Writes the exact versions anew, from requirements*.in alone.
pins:
	@$(PYTHON) .ci/pins.py

venv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found: install it"; exit 1; }
	@$(PYTHON) -m crm.bootstrap requirements.txt

dev:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found: install it"; exit 1; }
	@$(PYTHON) -m crm.bootstrap requirements.txt requirements-dev.txt
