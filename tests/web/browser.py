"""A real browser: Chromium as it is found on this machine, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def launched() -> Iterator[Browser]:
    """Yield a running browser. Raises playwright's Error where there is none."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)
    playwright = _started()
    try:
        browser = playwright.chromium.launch(executable_path=found(playwright), args=flags)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        playwright.stop()


def _started() -> Playwright:
    try:
        return sync_playwright().start()
    except Exception as error:
        # Its driver is a program that may lack a library of the system: it has no Error for that.
        raise Error(f"Playwright's driver does not start: {error}") from error


def found(playwright: Playwright) -> str:
    """Return the path of the browser: the machine's own, else the one Playwright installed."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    path = playwright.chromium.executable_path
    if not Path(path).exists():
        raise Error("no Chromium is found; `make test` installs one")
    return path
