"""Open every page and endpoint of a production install, and fail on what does not answer.

`make check-production` runs it with the Python of a virtual environment that has requirements.txt
and the model's weights, and nothing else: what only the tests install is not there. So this module
needs the standard library and the application alone.

A superuser signs in and opens each address of Django's resolver that takes no arguments, the pages
of the rows that there are, and each operation of the OpenAPI schema.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPMethod, HTTPStatus
from pathlib import Path

import requests

from tests.routes import routes

ROOT = Path(__file__).parent.parent
PASSWORD = "correct-horse-battery"
MISSING = "00000000-0000-7000-8000-000000000000"
# On the proxy's path, what nobody outside has to be asked for.
PROXIED = {"target": "default", "version": "v1beta"}
METHODS = frozenset(method.value for method in HTTPMethod)
START_SECONDS, ANSWER_SECONDS = 90, 60
# Whoever opens everything at once is no attacker here.
UNLIMITED = {
    f"ALCHEMYST_RATE_{name}": "0" for name in ("PROXY", "API", "CHAT", "ANONYMOUS", "LOGIN")
}
# What rightly refuses a superuser's plain GET, each with why.
REFUSALS = {
    "/styleguide": HTTPStatus.NOT_FOUND,  # for development alone
    "/signup": HTTPStatus.FORBIDDEN,  # registration is closed unless the operator opens it
    "/metrics": HTTPStatus.NOT_FOUND,  # there is no such page where no token is set
    "/admin/autocomplete/": HTTPStatus.FORBIDDEN,  # asked by a form's field, which it must name
    "/api/v1/proxy/default/v1beta/models": HTTPStatus.NOT_FOUND,  # it speaks OpenAI's dialect alone
}


@dataclass
class Report:
    """What was opened, and what of it did not answer as it should."""

    opened: int = 0
    failures: list[str] = field(default_factory=list)

    def note(self, line: str, *, is_good: bool) -> None:
        self.opened += 1
        if not is_good:
            self.failures.append(line)
        print(line if is_good else f"{line}   <- FAILED", flush=True)


@dataclass
class Site:
    """The running server, and what its pages and endpoints may be asked for."""

    url: str
    browser: requests.Session
    program: requests.Session
    rows: dict[str, str]
    """What fills a path's parameters, by their names."""


def main() -> int:
    report = Report()
    with tempfile.TemporaryDirectory(prefix="alchemyst-production-") as scratch:
        _prepare(scratch)
        log = Path(scratch) / "server.log"
        with _server(log) as url:
            site = _site(url)
            _open_pages(site, report)
            _call_endpoints(site, report)
        if report.failures:
            print(f"== The server's log\n{log.read_text(encoding='utf-8')}")
    print(f"{report.opened} opened, {len(report.failures)} failed")
    for line in report.failures:
        print(f"  {line}")
    return 1 if report.failures else 0


def _prepare(scratch: str) -> None:
    """Set this process, and those that it starts, on a new installation in `scratch`."""
    for name in [name for name in os.environ if name.startswith("ALCHEMYST_")]:
        del os.environ[name]
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    os.environ |= UNLIMITED | {
        "ALCHEMYST_DATA_DIR": str(Path(scratch) / "data"),
        "DJANGO_SETTINGS_MODULE": "alchemyst.settings",
    }
    for command in ("migrate", "collectstatic"):
        _manage(command, "--noinput", "--verbosity", "0")


def _manage(*arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, check=True)


@contextmanager
def _server(log: Path) -> Iterator[str]:
    """Serve the application as `make run` does, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "alchemyst.asgi:application"]
    command += ["--port", str(port), "--no-access-log", "--no-proxy-headers", "--no-server-header"]
    with (
        log.open("wb") as written,
        subprocess.Popen(command, cwd=ROOT, stdout=written, stderr=written) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            if not _is_ready(url, process):
                raise SystemExit(f"The server did not start.\n{log.read_text(encoding='utf-8')}")
            yield url
        finally:
            process.terminate()


def _is_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(f"{url}/readyz", timeout=ANSWER_SECONDS).ok:
                return True
        except requests.ConnectionError:
            time.sleep(0.1)
    return False


def _site(url: str) -> Site:
    """Make a superuser with rows of each kind, who is signed in and has a key."""
    import django

    django.setup()
    from alchemyst.accounts.models import SCOPES, ApiKey, User
    from tests.rows import own_rows

    user = User.objects.create_superuser("root", password=PASSWORD)
    key, text = ApiKey.make(user, name="check", scopes=SCOPES)
    rows = own_rows(user) | {"key_id": str(key.pk)} | PROXIED
    program = requests.Session()
    program.headers["Authorization"] = f"Bearer {text}"
    return Site(url, _signed_in(url), program, rows)


def _signed_in(url: str) -> requests.Session:
    """Sign in by the form, as a person does."""
    browser = requests.Session()
    browser.get(f"{url}/signin", timeout=ANSWER_SECONDS)
    form = {"username": "root", "password": PASSWORD}
    token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    browser.post(f"{url}/signin", form | token, timeout=ANSWER_SECONDS).raise_for_status()
    return browser


# ---- pages


def _open_pages(site: Site, report: Report) -> None:
    for path in dict.fromkeys([*_routes(site.rows), *_row_pages()]):
        answer = site.browser.get(site.url + path, allow_redirects=False, timeout=ANSWER_SECONDS)
        report.note(f"{answer.status_code} GET {path}", is_good=_is_good(path, answer))


def _is_good(path: str, answer: requests.Response) -> bool:
    if path in REFUSALS:
        return answer.status_code == REFUSALS[path]
    if answer.is_redirect:
        return not answer.headers["Location"].startswith("/signin")
    if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The target of a form, which is no page.
        return "POST" in answer.headers["Allow"]
    if answer.status_code == HTTPStatus.FORBIDDEN:
        return path in _not_to_be_added()
    return answer.ok


def _routes(rows: dict[str, str]) -> Iterator[str]:
    """Yield the paths of Django's resolver whose parameters, if any, can be filled from `rows`.

    The API's own are left to the schema.
    """
    for route in routes():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: rows.get(match[1], match[0]), route)
        if not path.startswith("/api/v1/") and not re.search(r"[<(]", path):
            yield path


def _row_pages() -> Iterator[str]:
    """Yield the admin's page of one row of each kind, where there is a row."""
    from django.contrib import admin
    from django.urls import reverse

    for model in admin.site._registry:
        if (row := model._default_manager.first()) is not None:
            meta = model._meta
            yield reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def _not_to_be_added() -> frozenset[str]:
    """Return where the admin refuses to add what the program alone writes."""
    from django.contrib import admin
    from django.test import RequestFactory
    from django.urls import reverse

    from alchemyst.accounts.models import User

    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(is_superuser=True)
    return frozenset(
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
        for model, page in admin.site._registry.items()
        if not page.has_add_permission(request)
    )


# ---- the API


def _call_endpoints(site: Site, report: Report) -> None:
    """Call each operation: what is read is there, and nothing fails on our side."""
    kind = {"Accept": "application/vnd.oai.openapi+json"}
    schema = site.program.get(f"{site.url}/api/schema", headers=kind, timeout=ANSWER_SECONDS)
    for path, operations in schema.json()["paths"].items():
        for method in sorted(METHODS & {name.upper() for name in operations}):
            _call(site, report, method, path)


def _call(site: Site, report: Report, method: str, path: str) -> None:
    """Read what there is; what would change it is asked of what is not there."""
    is_read = method == HTTPMethod.GET
    filled = _filled(path, site.rows if is_read else PROXIED)
    answer = site.program.request(
        method, site.url + filled, json=None if is_read else {}, timeout=ANSWER_SECONDS
    )
    if filled in REFUSALS:
        is_good = answer.status_code == REFUSALS[filled]
    elif is_read and MISSING not in filled:
        is_good = answer.ok
    else:
        is_good = answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    report.note(f"{answer.status_code} {method} {filled}", is_good=is_good)


def _filled(path: str, rows: dict[str, str]) -> str:
    """Return the path with its parameters; the schema's camelCase names ours."""

    def fill(match: re.Match[str]) -> str:
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", match[1]).lower()
        return rows.get(name, MISSING)

    return re.sub(r"\{(\w+)\}", fill, path)


if __name__ == "__main__":
    sys.exit(main())
