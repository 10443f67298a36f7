# Nothing is needed but Python 3.11+. `make help` prints the lines that begin with "#:".
#: run         install, and serve at http://127.0.0.1:8000 (HOST=, PORT=)
#: setup       install, migrate, collect static files
#: test        all tests, on each database that answers
#: test-fast   the tests that take no long time, on SQLite
#: format      format code and templates, and mend what the linter can
#: check       formatter, linter, imports, types, migrations, schema
#: check-production  every page and endpoint of an install of requirements.txt alone
#: soak        twenty minutes of traffic while processes and services are killed (MINUTES=)
#: check-pythons  the quick tests on each supported Python that is found here
#: check-bare  both commands on a bare Debian, and the Dockerfile step by step (root only)
#: agents      all coding agents that tests run; `make test` installs the half of them (1.1 GB)
#: messages    bring the words of pages into the translations
PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
MINUTES ?= 20
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: help run setup test test-fast check check-production check-bare check-pythons format soak agents messages
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#: /make /p' $(firstword $(MAKEFILE_LIST))

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	find templates -name '*.html' -exec $(BIN)/djade --target-version 5.2 {} +

run:
	@$(PYTHON) -I alchemyst/bootstrap/port.py '$(HOST)' '$(PORT)'
	@$(MAKE) --no-print-directory setup
	@$(BIN)/python manage.py try_model --once || true
	@$(BIN)/python manage.py welcome --host $(HOST) --port $(PORT)
	@exec $(BIN)/python -m uvicorn alchemyst.asgi:application --host $(HOST) --port $(PORT) \
		--http alchemyst.web.connections:ClockedProtocol \
		--no-access-log --no-proxy-headers --no-server-header --timeout-graceful-shutdown 25

setup: $(VENV)/.installed
	@$(BIN)/python manage.py migrate --noinput --verbosity 0
	@$(BIN)/python manage.py prepare_encoder
	@$(BIN)/python manage.py collectstatic --noinput --verbosity 0

$(VENV)/.installed: requirements.txt requirements-model.txt
	@$(PYTHON) -I alchemyst/bootstrap/install.py $(VENV)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@$(PIP) install -r requirements.txt -r requirements-dev.txt
	@touch $@

# Clients on Node, for the tests, where Node is found; without them those tests are skipped.
NPM_TESTS := tests/clients/npm
AGENT_TESTS := tests/clients/agents
ifneq ($(shell command -v node >/dev/null 2>&1 && command -v npm 2>/dev/null),)
NODE_CLIENTS := $(NPM_TESTS)/node_modules/.installed $(AGENT_TESTS)/node_modules/.installed
endif

$(NPM_TESTS)/node_modules/.installed: $(NPM_TESTS)/package-lock.json
	@if npm ci --prefix $(NPM_TESTS) --loglevel error; then touch $@; \
		else echo "The clients on Node could not be installed: their tests are skipped."; fi

# Coding agents are large: two that speak two formats (0.6 GB) unless all are asked for (1.1 GB).
$(AGENT_TESTS)/node_modules/.installed: $(AGENT_TESTS)/package-lock.json
	@if npm ci --omit=dev --prefix $(AGENT_TESTS) --loglevel error; then touch $@; \
		else echo "The coding agents could not be installed: their tests are skipped."; fi

agents:
	npm ci --prefix $(AGENT_TESTS) --loglevel error
	@touch $(AGENT_TESTS)/node_modules/.installed

# A browser for the tests: this machine's Chromium, else Debian's, else Playwright's own; without any
# of them those tests are skipped.
BROWSERS := chromium chromium-browser google-chrome

$(VENV)/.browser: $(VENV)/.installed-dev
	@for name in $(BROWSERS); do command -v $$name >/dev/null && found=1; done; \
		if test "$$found"; then touch $@; \
		elif test "$$(id -u)" = 0 && command -v apt-get >/dev/null && { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null; then touch $@; \
		elif $(BIN)/playwright install chromium >/dev/null; then touch $@; \
		else echo "No browser could be installed: the tests in one are skipped."; fi

# The suite, on SQLite; the proxy's part behind nginx where that is found; and all again on PostgreSQL
# and Redis where they answer.
test: $(VENV)/.installed-dev $(VENV)/.browser $(NODE_CLIENTS)
	@$(BIN)/python -m tests.everywhere

# What is not marked slow, on SQLite, by two processes: a few minutes.
test-fast: $(VENV)/.installed-dev
	@env -u DATABASE_URL -u REDIS_URL -u ALCHEMYST_TESTS_BEHIND $(BIN)/python -m pytest -q -n 2 -m "not slow" --durations=25

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYTHONPATH=. $(BIN)/lint-imports --no-cache --no-logo
	find templates -name '*.html' -exec $(BIN)/djade --check --target-version 5.2 {} +
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

# What operators install, without anything that the tests bring: each page and endpoint of it is opened.
check-production:
	@$(MAKE) --no-print-directory VENV=$(VENV)-production $(VENV)-production/.installed
	@$(VENV)-production/bin/python -m tests.production

# With a PostgreSQL and a Redis of its own, where their programs are found.
soak: $(VENV)/.installed-dev
	@env -u DATABASE_URL -u REDIS_URL $(BIN)/python -m tests.bench.soak --minutes $(MINUTES)

# README's commands on a machine with Python alone, and what the Dockerfile makes, where root allows.
check-bare: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.bare

# Of a Python that is not found it is seen whether there are wheels for it.
check-pythons: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.pythons

# The words of pages, into the translations and compiled; needs gettext's tools.
messages: $(VENV)/.installed
	@$(BIN)/python manage.py makemessages -l de --no-obsolete --no-wrap --no-location \
		-i '$(VENV)/*' -i 'staticfiles/*' -i 'tests/*' -i 'var/*'
	@$(BIN)/python manage.py compilemessages -l de
