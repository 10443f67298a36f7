"""nginx in front of the application, in the configuration that docs/deployment.md gives.

`ALCHEMYST_TESTS_BEHIND` names a way of setting it up; every test that goes through the fixture
`server` then goes through nginx as well.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

DOCUMENTED = "nginx"
# The common mistake, a path in proxy_pass: nginx then decodes the path and merges its slashes.
MERGED = "nginx-merged"
WAYS = (DOCUMENTED, MERGED)
BEHIND = os.environ.get("ALCHEMYST_TESTS_BEHIND", "")
DECODES_SLASHES = pytest.mark.not_behind(MERGED, reason="with a path in proxy_pass %2F becomes /")

# Debian keeps it where only root's PATH leads.
PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
DEPLOYMENT = Path(__file__).resolve().parents[1] / "docs" / "deployment.md"
# Started by root, its workers would become somebody who may not write to the scratch folder.
AS_ROOT = "user root;" if os.geteuid() == 0 else ""
FRAME = """
{user} daemon off; pid {folder}/pid; error_log {folder}/error.log info;
events {{}}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    {locations}
  }}
}}
"""


def documented() -> str:
    """The locations as the documentation shows them."""
    (section,) = re.findall(r"## Behind nginx\n\n((?:    .*\n|\n)+)", DEPLOYMENT.read_text())
    return section


class Nginx:
    """A running nginx, in front of the application at a URL."""

    def __init__(self, way: str, application: str, folder: Path) -> None:
        assert way in WAYS, f"ALCHEMYST_TESTS_BEHIND must be one of {', '.join(WAYS)}"
        assert PROGRAM, "nginx is not installed"
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        file = folder / "nginx.conf"
        locations = _locations(way, application)
        file.write_text(FRAME.format(user=AS_ROOT, folder=folder, port=port, locations=locations))
        self._process = subprocess.Popen([PROGRAM, "-p", str(folder), "-c", str(file)])
        end = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, "nginx ended at once"
            assert time.monotonic() < end, "nginx did not start"
            time.sleep(0.05)

    def log(self) -> str:
        """What it has written down."""
        return "".join(file.read_text() for file in self.folder.glob("*.log"))

    def forget(self) -> None:
        """Empty what it has written down; it appends."""
        for file in self.folder.glob("*.log"):
            os.truncate(file, 0)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).ok
        except requests.RequestException:
            return False


def _locations(way: str, application: str) -> str:
    locations = documented().replace("http://127.0.0.1:8000", application)
    if way == DOCUMENTED:
        return locations
    return re.sub(
        rf"location ((?:\^~ )?)(/\S*) (.*?){application};",
        rf"location \1\2 \3{application}\2;",
        locations,
        flags=re.DOTALL,
    )
