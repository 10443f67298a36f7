"""A WebSocket on the proxy's path is answered with 426: clients go on by HTTP at once."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
import requests

from tests.fakes import FakeProvider
from tests.proxy.raw import read_until

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Authorization: Bearer {token}\r\n\r\n"
)


def shaken(url: str, token: str) -> bytes:
    """Return what a server answers to a handshake."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as client:
        client.sendall(HANDSHAKE.format(path=parts.path, host=parts.netloc, token=token).encode())
        return read_until(client, b"}}")


def test_a_handshake_is_426_in_the_dialects_words(server: str, provider: FakeProvider, token: str):
    answer = shaken(f"{server}/api/v1/proxy/{provider.url}/v1/responses", token)

    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b"upgrade: HTTP/1.1" in answer
    assert b'"code":"upgrade_refused"' in answer
    assert not provider.received


def test_a_handshake_that_comes_as_a_request_is_426(
    http: requests.Session, server: str, provider: FakeProvider
):
    # Servers take only GET for one.
    answer = http.post(
        f"{server}/api/v1/proxy/{provider.url}/v1/responses", headers={"Upgrade": "WebSocket"}
    )

    assert answer.status_code == 426
    assert answer.json()["error"]["code"] == "upgrade_refused"
    assert not provider.received


@pytest.mark.parametrize("upgrade", ["h2c", "TLS/1.0"])
def test_another_protocol_is_passed_over(
    http: requests.Session, server: str, provider: FakeProvider, upgrade: str
):
    headers = {"Upgrade": upgrade, "X-Upstream-Api-Key": "sk-1"}

    answer = http.get(f"{server}/api/v1/proxy/{provider.url}/plain/v1/files", headers=headers)

    assert answer.status_code == 200
    assert "Upgrade" not in provider.last().headers
