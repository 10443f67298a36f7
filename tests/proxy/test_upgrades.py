"""A WebSocket on the proxy's path is answered with 426: clients go on by HTTP at once."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
import requests

from tests import nginx
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


@pytest.mark.not_behind(*nginx.WAYS, reason="nginx lets no Upgrade through to it")
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


@pytest.mark.not_behind(*nginx.WAYS, reason="nginx lets no Upgrade through to it")
@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("POST", "Content-Length: 2"),
        ("GET", "Content-Length: 2"),
        ("GET", f"X-Long: {'x' * 9000}"),
        ("GET", "\r\n".join(f"X-{number}: x" for number in range(200))),
    ],
)
def test_a_handshake_that_cannot_be_read_ends_at_once(server: str, method: str, more: str):
    parts = urlsplit(server)
    head = HANDSHAKE.format(path="/ws/x", host=parts.netloc, token="x").removesuffix("\r\n")
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as client:
        client.sendall(f"{method}{head.removeprefix('GET')}{more}\r\n\r\n{{}}".encode())
        answer = read_until(client, b"no more than the connection's end")

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("upgrade", ["h2c", "TLS/1.0"])
def test_another_protocol_is_passed_over(
    http: requests.Session, server: str, provider: FakeProvider, upgrade: str
):
    headers = {"Upgrade": upgrade, "X-Upstream-Api-Key": "sk-1"}

    answer = http.get(f"{server}/api/v1/proxy/{provider.url}/plain/v1/files", headers=headers)

    assert answer.status_code == 200
    assert "Upgrade" not in provider.last().headers
