"""Every setting of Alchemyst, read from the environment; without any it runs on one machine.

`docs/configuration.md` explains each variable to operators.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from alchemyst import __version__, env
from alchemyst.staff import theme
from proxy.cost import policy
from proxy.relevance import modes

BASE_DIR = Path(__file__).resolve().parent.parent

# Where a one-machine installation keeps what it writes: the database, its secrets.
DATA_DIR = env.folder("ALCHEMYST_DATA_DIR", str(BASE_DIR / "var"))

# Secrets: from the environment, or made at the first start and kept beside the database.
_kept = env.KeptSecrets(DATA_DIR / "secrets.json")
SECRET_KEY = env.secret("ALCHEMYST_SECRET_KEY") or _kept.get("secret_key")
JWT_KEY = env.secret("ALCHEMYST_JWT_KEY") or _kept.get("jwt_key")
# For the keys of stored providers: the first encrypts, all decrypt, so that it can be changed.
VAULT_KEYS = env.secrets_in("ALCHEMYST_VAULT_KEY") or [_kept.get("vault_key")]

# Who may reach the application, and how.
DEBUG = env.flag("ALCHEMYST_DEBUG", False)
ALLOWED_HOSTS = env.words("ALCHEMYST_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("ALCHEMYST_TRUSTED_ORIGINS")
# How many reverse proxies of the operator's own stand in front: that many entries from the
# right of X-Forwarded-For are believed.
TRUSTED_PROXIES = env.integer("ALCHEMYST_TRUSTED_PROXIES", 0)
HTTPS = env.flag("ALCHEMYST_HTTPS", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and TRUSTED_PROXIES else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# Subdomains are the operator's other sites: what holds for them is not decided here.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# How long a request may take to arrive, in seconds: its head, its body, the pause before the next
# piece of it; and how many connections a process holds open, in all (0: half of its descriptors)
# and from one address (0: any number; not counted behind trusted proxies).
REQUEST_HEAD_SECONDS = env.number("ALCHEMYST_REQUEST_HEAD_SECONDS", 15, least=0.1)
REQUEST_BODY_SECONDS = env.number("ALCHEMYST_REQUEST_BODY_SECONDS", 300, least=0.1)
REQUEST_BODY_IDLE_SECONDS = env.number("ALCHEMYST_REQUEST_BODY_IDLE_SECONDS", 30, least=0.1)
MAX_CONNECTIONS = env.integer("ALCHEMYST_MAX_CONNECTIONS", 0)
MAX_CONNECTIONS_OF_ADDRESS = env.integer("ALCHEMYST_MAX_CONNECTIONS_OF_ADDRESS", 1024)

INSTALLED_APPS = [
    # Before staticfiles: daphne's runserver streams, Django's own collects a stream first. No other
    # command needs its 25 MB.
    *(["daphne"] if "runserver" in sys.argv else []),
    "unfold.apps.BasicAppConfig",
    "alchemyst.apps.StaffConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    # Before staticfiles: its collectstatic is done by one process at a time.
    "alchemyst.apps.RoofConfig",
    "django.contrib.staticfiles",
    "django.forms",
    "servestatic",
    "channels",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "alchemyst.accounts",
    "proxy",
    "personas",
    "chats",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "alchemyst.web.middleware.ContentSecurityPolicy",
    "alchemyst.web.middleware.PrivateAPI",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "alchemyst.web.middleware.PreferredLanguage",
    "alchemyst.web.middleware.RateLimitedForms",
]

ROOT_URLCONF = "alchemyst.urls"
ASGI_APPLICATION = "alchemyst.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "alchemyst.web.ui.page_context",
            ],
            # What every template may use without loading it.
            "builtins": [
                "django.templatetags.static",
                "django.templatetags.i18n",
                "django.templatetags.l10n",
                "alchemyst.web.ui",
            ],
        },
    }
]
FORM_RENDERER = "alchemyst.web.ui.FormRenderer"
UNFOLD = theme.UNFOLD

# The database: a file in DATA_DIR, or whatever DATABASE_URL names. Requests run on a few threads
# that live as long as the process (asgi.py), so SQLite's connections may too; PostgreSQL has
# psycopg's pool.
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"] |= {
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # Writers take turns from the start: a deferred transaction that turns into a write
            # fails at once, whatever the timeout.
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
else:
    DATABASES["default"]["OPTIONS"] = {
        "pool": {"min_size": 0, "max_size": env.integer("ALCHEMYST_DB_POOL", 10, least=1)},
        "connect_timeout": 5,
    } | DATABASES["default"]["OPTIONS"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis carries what processes share: rate limits, the cache, channel layers. Without it, each
# process keeps its own.
REDIS_URL = env.redis_url("REDIS_URL")
REDIS_TIMEOUT = 0.5
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "OPTIONS": {"socket_timeout": REDIS_TIMEOUT, "socket_connect_timeout": REDIS_TIMEOUT},
        }
    }
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Background work: Celery's workers where some live, else the web processes themselves
# (celery.py). A task may be delivered twice, never forgotten: it is acknowledged when it is done,
# and Redis hands it out again only after the longest time that it may take.
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_TIME_LIMIT = 1800
CELERY_TASK_SOFT_TIME_LIMIT = CELERY_TASK_TIME_LIMIT - 60
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 2 * CELERY_TASK_TIME_LIMIT,
    "global_keyprefix": "alchemyst:",
    "socket_connect_timeout": REDIS_TIMEOUT,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "tasks"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "clean-up-chats": {"task": "chats.tasks.clean_up", "schedule": 3600.0},
    "resume-imports": {"task": "chats.tasks.resume_imports", "schedule": 60.0},
}

# Accounts.
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# Links to reset a password: by the operator's mail server, or written to the log's stream.
EMAIL_HOST = env.text("ALCHEMYST_SMTP_HOST")
EMAIL_PORT = env.integer("ALCHEMYST_SMTP_PORT", 587, least=1)
EMAIL_HOST_USER = env.text("ALCHEMYST_SMTP_USER")
EMAIL_HOST_PASSWORD = env.secret("ALCHEMYST_SMTP_PASSWORD")
EMAIL_USE_TLS = env.flag("ALCHEMYST_SMTP_STARTTLS", True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("ALCHEMYST_MAIL_FROM", "alchemyst@localhost")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
PASSWORD_RESET_TIMEOUT = 60 * 60
REGISTRATION_OPEN = env.flag("ALCHEMYST_REGISTRATION", False)
# How long a checked token is remembered by a process, in seconds: the longest that a revocation
# made by another process can take to be seen here.
AUTH_MEMORY_SECONDS = env.number("ALCHEMYST_AUTH_MEMORY", 5)
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_KEY,
    "ISSUER": "alchemyst",
    "AUDIENCE": "alchemyst",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.number("ALCHEMYST_ACCESS_MINUTES", 15, least=1)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.number("ALCHEMYST_REFRESH_DAYS", 14, least=1)),
}

# What one user (or, before login, one address) may ask for. "0" switches a limit off.
RATE_LIMITS = {
    "proxy": env.rate("ALCHEMYST_RATE_PROXY", "600/min"),
    "api": env.rate("ALCHEMYST_RATE_API", "300/min"),
    "chat": env.rate("ALCHEMYST_RATE_CHAT", "60/min"),
    "anonymous": env.rate("ALCHEMYST_RATE_ANONYMOUS", "60/min"),
    "login": env.rate("ALCHEMYST_RATE_LOGIN", "10/min"),
}

# The JSON API. DATA_UPLOAD_MAX_MEMORY_SIZE bounds its bodies; the proxy has its own limit.
DATA_UPLOAD_MAX_MEMORY_SIZE = env.integer("ALCHEMYST_API_MAX_BODY", 2 * 1024 * 1024, least=1024)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "alchemyst.accounts.auth.authentication.BearerAuthentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "alchemyst.accounts.auth.permissions.HasScope",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["alchemyst.accounts.limits.throttles.UserThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["alchemyst.web.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "alchemyst.web.openapi.Schema",
    # OPTIONS is a method like any other: what an endpoint takes, the schema tells.
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "alchemyst.errors.api_answer",
    # `format` is a parameter like any other: there is only JSON to choose.
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}
# What the chats' API takes besides tokens, for pages of this site.
SESSION_AUTHENTICATION_CLASS = "alchemyst.accounts.auth.sessions.SessionAuthentication"
SPECTACULAR_SETTINGS = {
    "TITLE": "Alchemyst",
    "DESCRIPTION": "A context proxy for language models, and the accounts behind it.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "KeyScopeEnum": "alchemyst.accounts.models.SCOPES",
        "PersonaScopeEnum": "personas.models.SCOPES",
        "FateEnum": "chats.models.Message.Fate",
        "DecisionFateEnum": "proxy.api.serializers.FATES",
    },
    "PREPROCESSING_HOOKS": ["alchemyst.web.openapi.with_streaming_endpoints"],
}

# The context proxy: how strict the filter is, how long a provider may take, how much may pass.
PROXY_RELEVANCE = env.choice("ALCHEMYST_PROXY_RELEVANCE", "strict", modes.NAMES)
# Below so many tokens in all nothing is left out: it would save a fraction of a cent.
PROXY_SHORT_TOKENS = env.integer("ALCHEMYST_PROXY_SHORT_TOKENS", 1500)
# Where providers cache prompts, what is sent is chosen by what it will cost.
PROXY_COST = env.choice("ALCHEMYST_PROXY_COST", "balanced", policy.NAMES)
# Whether an older exchange that is needed again may be sent right before the question.
PROXY_COST_MOVES = env.flag("ALCHEMYST_PROXY_COST_MOVES", False)
# What texts mean, beside their words: the encoder, the tokens of a history from which on it is
# asked, how long a request waits for its question's vector, and for how many days vectors are kept
# that nobody uses (0: in memory alone).
PROXY_ENCODER = env.choice("ALCHEMYST_PROXY_ENCODER", "minilm", ("minilm", "off"))
PROXY_ENCODER_TOKENS = env.integer("ALCHEMYST_PROXY_ENCODER_TOKENS", 1500)
PROXY_ENCODER_SECONDS = env.number("ALCHEMYST_PROXY_ENCODER_SECONDS", 0.03)
PROXY_VECTOR_DAYS = min(env.number("ALCHEMYST_PROXY_VECTOR_DAYS", 30), 36_500)
PROXY_FILTER_SECONDS = env.number("ALCHEMYST_PROXY_FILTER_SECONDS", 1)
PROXY_ALLOWED_TARGETS = env.words("ALCHEMYST_PROXY_ALLOWED_TARGETS")
# Request headers of the operator's choice that go up to providers besides the known ones.
PROXY_PASS_HEADERS = env.words("ALCHEMYST_PROXY_PASS_HEADERS")
PROXY_CONNECT_TIMEOUT = env.number("ALCHEMYST_PROXY_CONNECT_TIMEOUT", 10)
PROXY_FIRST_BYTE_TIMEOUT = env.number("ALCHEMYST_PROXY_FIRST_BYTE_TIMEOUT", 600)
PROXY_IDLE_TIMEOUT = env.number("ALCHEMYST_PROXY_IDLE_TIMEOUT", 300)
PROXY_TOTAL_TIMEOUT = env.number("ALCHEMYST_PROXY_TOTAL_TIMEOUT", 1800)
# What passes as it came: how long its way up, and then its way down, may take, and how large either
# may be; whether paths of a provider's administration are among it.
PROXY_TRANSFER_TIMEOUT = env.number("ALCHEMYST_PROXY_TRANSFER_TIMEOUT", 14_400)
PROXY_MAX_UPLOAD = env.integer("ALCHEMYST_PROXY_MAX_UPLOAD", 512 * 1024 * 1024)
PROXY_MAX_DOWNLOAD = env.integer("ALCHEMYST_PROXY_MAX_DOWNLOAD", 512 * 1024 * 1024)
PROXY_ADMIN_PATHS = env.flag("ALCHEMYST_PROXY_ADMIN_PATHS", False)
# Pages of these origins (https://app.example.com) may call the proxy's path from a browser.
PROXY_CORS_ORIGINS = env.origins("ALCHEMYST_PROXY_CORS_ORIGINS")
# How many requests of one user a process serves at once; 0 means any number.
PROXY_MAX_CONCURRENT = env.integer("ALCHEMYST_PROXY_MAX_CONCURRENT", 64)
PROXY_MAX_BODY = env.integer("ALCHEMYST_PROXY_MAX_BODY", 32 * 1024 * 1024)
PROXY_MAX_RESPONSE = env.integer("ALCHEMYST_PROXY_MAX_RESPONSE", 50 * 1024 * 1024)
PROXY_MAX_MESSAGES = env.integer("ALCHEMYST_PROXY_MAX_MESSAGES", 2000, least=1)
# How long the filter's decisions are kept, for the API keys that want it.
PROXY_RECORD_DAYS = min(env.number("ALCHEMYST_PROXY_RECORD_DAYS", 7), 36_500)
# How long usage rows, and their sums by hour, are kept. The sums by day stay for good.
PROXY_USAGE_DAYS = min(env.number("ALCHEMYST_USAGE_DAYS", 90), 36_500)

# The chats: days after their last message until they go to the trash (0 for never), where a user
# has chosen nothing; hours for which an answer's event log is kept after its end.
CHAT_KEEP_DAYS = min(env.number("ALCHEMYST_CHAT_KEEP_DAYS", 0), 36_500)
CHAT_EVENT_HOURS = min(env.number("ALCHEMYST_CHAT_EVENT_HOURS", 24), 876_000)
# Answers in chats: how many of one user may be under way, and how long one may take in seconds,
# whether anybody waits for it or not.
CHAT_MAX_RUNNING = env.integer("ALCHEMYST_CHAT_MAX_RUNNING", 16, least=1)
CHAT_ANSWER_SECONDS = env.number("ALCHEMYST_CHAT_ANSWER_SECONDS", 600, least=1)
CHAT_IMPORT_MAX_BODY = env.integer("ALCHEMYST_IMPORT_MAX_BODY", 64 * 1024 * 1024, least=1024)

# The built-in model: an OpenAI-compatible server of the operator's, or one that we start.
C1_BASE_URL = env.text("ALCHEMYST_C1_BASE_URL")
C1_API_KEY = env.secret("ALCHEMYST_C1_API_KEY")
C1_MODEL = env.text("ALCHEMYST_C1_MODEL", "alchemyst-ai/alchemyst-c1")

# Chats: whether a copy of one may be shown to whoever has its address.
CHAT_SHARING = env.flag("ALCHEMYST_CHAT_SHARING", True)

# Static files: collected by `make setup`, served by the application itself.
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "alchemyst.web.static.Storage"},
}

# Pages speak these languages; the API speaks English.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "alchemyst" / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Numbers for Prometheus at /metrics, for who shows this token; without one there is no such page.
METRICS_TOKEN = env.secret("ALCHEMYST_METRICS_TOKEN")
# Where the processes of one machine each write their numbers; prometheus_client reads it itself.
PROMETHEUS_MULTIPROC_DIR = env.text("PROMETHEUS_MULTIPROC_DIR")
# Where faults are reported and traces go, if anywhere; what either gets is masked (telemetry.py).
SENTRY_DSN = env.secret("ALCHEMYST_SENTRY_DSN")
TRACES_URL = env.text("ALCHEMYST_TRACES_URL")

# Logs go to standard error, in one format, with every secret masked on the way out, and bounded in
# length and number (log_limits.py). uvicorn's access log stays uvicorn's own, to be switched by its
# options (naming its parent here would reset it): it sees masked paths (logs.py).
LOG_FORMATTERS = {"text": "masked", "json": "json"}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "alchemyst.logs.WithRequestId"},
        "limits": {"()": "alchemyst.operations.log_limits.LogLimits"},
    },
    "formatters": {
        "masked": {
            "()": "alchemyst.logs.MaskingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
        },
        "json": {"()": "alchemyst.logs.JSONFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMATTERS[
                env.choice("ALCHEMYST_LOG_FORMAT", "text", ("text", "json"))
            ],
            "filters": ["request_id", "limits"],
        }
    },
    "root": {"handlers": ["console"], "level": env.text("ALCHEMYST_LOG_LEVEL", "WARNING").upper()},
    "loggers": {
        name: {"handlers": ["console"], "level": level, "propagate": False}
        for name, level in {
            "alchemyst": "INFO",
            "chats": "INFO",
            "personas": "INFO",
            "proxy": "INFO",
            "django": "INFO",
            "django.server": "INFO",
            "django.channels.server": "INFO",
            "uvicorn.error": "INFO",
        }.items()
    },
}
