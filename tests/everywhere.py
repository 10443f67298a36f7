"""Run the suite on the embedded defaults, then on PostgreSQL and Redis where they answer.

`make test` calls it. The addresses come from TEST_DATABASE_URL and TEST_REDIS_URL, or are the usual
ones of this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import redis

POSTGRES = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
SERVICES = ("DATABASE_URL", "REDIS_URL")


def main() -> int:
    bare = {name: value for name, value in os.environ.items() if name not in SERVICES}
    print("== On SQLite, without Redis", flush=True)
    failed = _pytest(bare)
    if missing := _missing():
        print(f"== Not on PostgreSQL and Redis: {missing} does not answer", flush=True)
        return failed
    print("== On PostgreSQL and Redis", flush=True)
    return _pytest(bare | {"DATABASE_URL": POSTGRES, "REDIS_URL": REDIS}) or failed


def _pytest(environment: dict[str, str]) -> int:
    return subprocess.call([sys.executable, "-m", "pytest", *sys.argv[1:]], env=environment)


def _missing() -> str:
    try:
        psycopg.connect(POSTGRES, connect_timeout=2).close()
    except psycopg.Error:
        return "PostgreSQL"
    try:
        with redis.Redis.from_url(REDIS, socket_connect_timeout=2) as client:
            client.ping()
    except redis.RedisError:
        return "Redis"
    return ""


if __name__ == "__main__":
    sys.exit(main())
