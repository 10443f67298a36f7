"""The application's settings for the tests: a scratch folder, quick password hashes, no limits.

`DATABASE_URL` and `REDIS_URL` are obeyed, so the same suite runs on PostgreSQL and Redis.
"""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("ALCHEMYST_DATA_DIR", tempfile.mkdtemp(prefix="alchemyst-tests-"))
if os.environ.get("ALCHEMYST_TESTS_BEHIND"):
    os.environ["ALCHEMYST_TRUSTED_PROXIES"] = "1"

from alchemyst.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
RATE_LIMITS = dict.fromkeys(("proxy", "api", "chat", "anonymous", "login"), (0, 1))
# A file, so that the server in the tests (its own threads) sees the same database.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}  # noqa: F405
REGISTRATION_OPEN = True
# The conversations of tests are short; those of the rule for short ones set it.
PROXY_SHORT_TOKENS = 0
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# The files as they stand in static/, not collected.
SERVESTATIC_USE_FINDERS = True
STATIC_ROOT = DATA_DIR / "static"  # noqa: F405
STATIC_ROOT.mkdir(exist_ok=True)
# Words alone, unless a test is about what texts mean.
PROXY_ENCODER = "off"
# Nothing begins by itself in a test.
CELERY_BEAT_SCHEDULE = {}
