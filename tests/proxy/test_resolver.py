"""A name is connected to at an address that was checked, whatever it resolves to next."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import requests
from django.conf import LazySettings

from proxy.errors import InvalidTarget, UpstreamUnreachable
from proxy.upstream import ssrf_guard
from proxy.upstream.pool import Pool
from proxy.upstream.target import Origin
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, Connected, completion

HEAD = b"GET /v1/models HTTP/1.1\r\nhost: rebinding.example\r\n\r\n"


class Scripted:
    """Looks names up as it was told, one answer after the other, and says what it was asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.lookups: list[str] = []

    async def __call__(self, host: str, port: int) -> ssrf_guard.Addresses:
        self.lookups.append(host)
        entries = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [_entry(port, address) for address in entries]


def _entry(port: int, address: str) -> tuple[Any, ...]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)


def resolver(look_up: Scripted, **options: Any) -> ssrf_guard.Resolver:
    return ssrf_guard.Resolver(is_guarded=True, look_up=look_up, **options)


class TestTheResolver:
    @pytest.mark.parametrize(
        "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"]
    )
    async def test_refuses_a_name_of_an_inner_address(self, address: str):
        with pytest.raises(InvalidTarget):
            await resolver(Scripted([address])).addresses("api.example.com", 443)

    async def test_gives_only_the_public_ones_of_several(self):
        found = await resolver(Scripted(["10.0.0.1", "8.8.8.8"])).addresses("api.example.com", 443)

        assert [address for *_, (address, _) in found] == ["8.8.8.8"]

    async def test_gives_whatever_the_operator_listed(self, settings: LazySettings):
        settings.PROXY_ALLOWED_TARGETS = ["inner.example:8080"]
        inner = resolver(Scripted(["10.0.0.1"]))

        assert await inner.addresses("inner.example", 8080)
        with pytest.raises(InvalidTarget):
            await inner.addresses("inner.example", 443)

    async def test_says_that_a_name_without_address_is_unreachable(self):
        class Failing(Scripted):
            async def __call__(self, host: str, port: int) -> ssrf_guard.Addresses:
                raise OSError("Name or service not known")

        with pytest.raises(UpstreamUnreachable):
            await resolver(Failing([])).addresses("no.example", 443)

    async def test_asks_for_a_name_once_a_minute(self):
        look_up = Scripted(["8.8.8.8"])
        remembering = resolver(look_up)

        for _ in range(3):
            await remembering.addresses("api.example.com", 443)

        assert look_up.lookups == ["api.example.com"]

    async def test_checks_again_what_it_remembers(self, settings: LazySettings):
        settings.PROXY_ALLOWED_TARGETS = ["inner.example:8080"]
        remembering = resolver(Scripted(["10.0.0.1"]))
        await remembering.addresses("inner.example", 8080)

        settings.PROXY_ALLOWED_TARGETS = []

        with pytest.raises(InvalidTarget):
            await remembering.addresses("inner.example", 8080)

    async def test_is_asked_for_the_address_that_is_connected_to(
        self, provider: FakeProvider, settings: LazySettings
    ):
        """A name that is public when checked and loopback a moment later gains nothing."""
        settings.PROXY_CONNECT_TIMEOUT = 0.2
        rebinding = Scripted(["203.0.114.1"], ["127.0.0.1"])
        pool = Pool(resolver(rebinding, memory_seconds=0))
        origin = Origin(is_tls=False, host="rebinding.example", port=provider.port)

        # Where the network refuses it at once, the first address is given up for the second.
        with pytest.raises((OSError, TimeoutError, InvalidTarget)):
            await pool.send(origin, HEAD, None, is_safe=True)
        with pytest.raises(InvalidTarget):
            await pool.send(origin, HEAD, None, is_safe=True)

        assert len(rebinding.lookups) > 1
        assert not provider.received


class TestThroughTheFrontDoor:
    @pytest.mark.parametrize(
        "found",
        [
            ["127.0.0.1"],
            ["10.1.2.3", "192.168.0.1"],
            ["169.254.169.254"],
            ["168.63.129.16"],
            ["0.0.0.0"],
            ["::1"],
            ["::ffff:127.0.0.1"],
            ["::ffff:a00:1"],
            ["64:ff9b::7f00:1"],
            ["2002:7f00:1::"],
            ["fe80::1%1"],
        ],
    )
    def test_a_name_of_inner_addresses_is_connected_to_nowhere(
        self, ask_by_name, connected: Connected, found: list[str]
    ):
        answer = ask_by_name("inner.example.com", found)

        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == InvalidTarget.message
        assert connected(443) == set()

    def test_a_name_of_both_kinds_is_connected_to_at_the_public_ones(
        self, ask_by_name, connected: Connected
    ):
        found = ["10.0.0.1", "8.8.8.8", "::1", "127.0.0.1"]

        answer = ask_by_name("both.example.com", found)

        assert answer.status_code == 502
        assert connected(443) == {"8.8.8.8"}

    @pytest.mark.parametrize("then", ["127.0.0.1", "169.254.169.254", "::1"])
    def test_a_name_that_changes_its_address_is_connected_to_at_the_one_that_was_checked(
        self, ask_by_name, connected: Connected, then: str
    ):
        for _ in range(3):
            ask_by_name("rebinding.example.com", ["8.8.8.8"], ["8.8.8.8", then], [then])

        assert connected(443) == {"8.8.8.8"}

    def test_an_allowed_target_is_connected_to_where_the_operator_said(
        self, http: requests.Session, server: str, settings: LazySettings, connected: Connected
    ):
        """Or none of these tests would see anything."""
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        settings.PROXY_ALLOWED_TARGETS = [f"127.0.0.1:{port}"]

        answer = http.post(
            f"{server}/api/v1/proxy/http://127.0.0.1:{port}/v1/sk-1/chat/completions",
            json=completion(HISTORY[-1:]),
        )

        assert answer.status_code == 502
        assert connected(port) == {"127.0.0.1"}


@pytest.fixture
def ask_by_name(http: requests.Session, server: str, monkeypatch: pytest.MonkeyPatch):
    """Ask a host by its name, which resolves to these addresses, in turn."""

    def ask(name: str, *found: list[str]) -> requests.Response:
        scripted = Scripted(*found)

        async def look_up(_: ssrf_guard.Resolver, host: str, port: int) -> ssrf_guard.Addresses:
            return await scripted(host, port)

        monkeypatch.setattr(ssrf_guard.Resolver, "_fresh", look_up)
        return http.post(
            f"{server}/api/v1/proxy/https://{name}/v1/sk-1/chat/completions",
            json=completion(HISTORY[-1:]),
        )

    return ask
