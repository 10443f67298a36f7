"""Behind nginx, in the configuration that docs/deployment.md gives."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.conftest import Server
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")

DEPLOYMENT = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"
QUESTION = HISTORY[-1:]
# Started by root, its workers would become somebody who may not write to the scratch folder.
AS_ROOT = "user root;" if os.geteuid() == 0 else ""
FRAME = """
{user} daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
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


@pytest.fixture(params=["documented", "with a path in proxy_pass"])
def nginx(
    request: pytest.FixtureRequest, server: str, the_server: Server, tmp_path: Path
) -> Iterator[str]:
    """The URL of an nginx in front of the application."""
    locations = documented().replace("http://127.0.0.1:8000", server)
    if request.param != "documented":
        # The common mistake: nginx then decodes the path and merges its slashes.
        locations = re.sub(
            rf"location (\S+) (.*?){server};",
            rf"location \1 \2{server}\1;",
            locations,
            flags=re.DOTALL,
        )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "nginx.conf"
    file.write_text(FRAME.format(user=AS_ROOT, folder=tmp_path, port=port, locations=locations))
    process = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(file)])
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 10
    while not _answers(url):
        assert process.poll() is None, "nginx ended at once"
        assert time.monotonic() < end, "nginx did not start"
        time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(10)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=2).ok
    except requests.RequestException:
        return False


@pytest.mark.parametrize("encoded", [False, True])
def test_a_target_in_the_path_arrives(
    nginx: str, http: requests.Session, provider: FakeProvider, encoded: bool
):
    target = f"{provider.url}/v1"
    target = target.replace(":", "%3A").replace("/", "%2F") if encoded else target

    answer = http.post(
        f"{nginx}/api/v1/proxy/{target}/sk-1/chat/completions", json=completion(QUESTION)
    )

    assert answer.status_code == 200
    assert provider.last().path == "/v1/chat/completions"
    assert provider.last().headers["Authorization"] == "Bearer sk-1"


def test_a_stream_comes_piece_by_piece(nginx: str, http: requests.Session, provider: FakeProvider):
    url = f"{nginx}/api/v1/proxy/{provider.url}/slow/v1/sk-1/chat/completions"

    with http.post(url, json=completion(QUESTION, stream=True), stream=True) as answer:
        first = next(answer.iter_content(None))

    assert first.count(b"data: ") == 1


def test_the_provider_is_closed_when_the_client_leaves(
    nginx: str, http: requests.Session, provider: FakeProvider
):
    url = f"{nginx}/api/v1/proxy/{provider.url}/slow/v1/sk-1/chat/completions"

    with http.post(url, json=completion(QUESTION, stream=True), stream=True) as answer:
        next(answer.iter_content(None))

    assert provider.last().is_closed.wait(2)


def test_a_large_body_passes(nginx: str, http: requests.Session, provider: FakeProvider):
    image = {"type": "image_url", "image_url": {"url": "data:," + "A" * 5_000_000}}
    question = [{"role": "user", "content": [image]}]

    answer = http.post(
        f"{nginx}/api/v1/proxy/{provider.url}/v1/sk-1/chat/completions", json=completion(question)
    )

    assert answer.status_code == 200


def test_an_error_keeps_its_shape(nginx: str, http: requests.Session):
    answer = http.post(f"{nginx}/api/v1/proxy/http://10.0.0.1/v1/sk-1/chat/completions", data=b"{}")

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_target"
