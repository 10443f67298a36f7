"""The cost gate before the answers in chats: whose preset counts, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from alchemyst.accounts.models import SCOPES, ApiKey
from chats.models import Chat, Generation
from proxy.models import Price, Provider, UsageRecord
from tests.chats.answers import asking, persona
from tests.chats.conftest import Api
from tests.chats.test_pages import CSRF
from tests.chats.test_socket import open_socket, signed_in  # noqa: F401
from tests.cost.topics import turns

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def preset(server: str, token: str, billing, price: Price, alice, rows) -> Callable[..., str]:
    """Asks for an answer, and tells by which preset its cost was looked at."""
    persona(alice, billing)

    def of_the_answer(path: str = "chat", *, key: str = "") -> str:
        requests.post(
            f"{server}/api/v1/{path}",
            json=asking(persona="maya"),
            headers={"Authorization": f"Bearer {key or token}"},
            timeout=20,
        ).raise_for_status()
        return answers(rows())[-1].cost_preset

    return of_the_answer


@pytest.fixture
def careful(alice):
    """Alice, who wants what was saved never to be lost again."""
    alice.cost = "guaranteed"
    alice.save()
    return alice


def answers(rows: list[UsageRecord]) -> list[UsageRecord]:
    """The rows of answers, without the titles that are made in the background."""
    return [row for row in rows if row.endpoint == "chat"]


def key_of(owner, cost: str = "") -> str:
    return ApiKey.make(owner, name="k", scopes=SCOPES, cost=cost)[1]


class TestPreset:
    def test_is_the_operators_where_nobody_else_has_one(self, preset, settings):
        settings.PROXY_COST = "bold"

        assert preset() == "bold"

    def test_of_the_provider_goes_before_the_operators(self, preset):
        Provider.objects.update(cost="bold")

        assert preset() == "bold"

    @pytest.mark.parametrize("path", ["chat", "chat/generate", "chat/generate/stream"])
    def test_of_the_user_goes_before_the_providers(self, path, preset, careful):
        Provider.objects.update(cost="bold")

        assert preset(path) == "guaranteed"

    @pytest.mark.parametrize("path", ["chat", "chat/generate"])
    def test_of_the_key_goes_before_its_owners(self, path, preset, careful):
        assert preset(path, key=key_of(careful, "bold")) == "bold"
        assert preset(path, key=key_of(careful)) == "guaranteed"

    def test_off_is_a_preset_like_others(self, preset, alice):
        alice.cost = "off"
        alice.save()

        assert preset() == ""
        assert preset(key=key_of(alice, "balanced")) == "balanced"

    def test_of_a_visitor_to_a_page_is_their_own(self, preset, http, server, careful, rows):
        preset()
        cookies = {"Cookie": f"{signed_in(careful)}; csrftoken={CSRF}"}
        form = {"content": "And rye?", "persona": "maya", "csrfmiddlewaretoken": CSRF}

        requests.post(f"{server}/chat", data=form, headers=cookies, timeout=20).raise_for_status()
        Api(http, server).replay(Generation.objects.get().pk)

        assert [row.cost_preset for row in answers(rows())] == ["guaranteed"] * 2

    def test_of_a_question_on_a_socket_is_the_visitors(
        self,
        preset,
        open_socket,  # noqa: F811
        server,
        careful,
        rows,
    ):
        preset("chat/generate")
        headers = {"additional_headers": {"Cookie": signed_in(careful)}, "origin": server}

        with open_socket(Chat.objects.get().pk, **headers) as socket:
            socket.read()
            socket.send(type="ask", content="And rye?", id="m-1")
            socket.until("done")

        assert [row.cost_preset for row in answers(rows())] == ["guaranteed"] * 2


def test_the_answers_are_billed_as_the_gate_expects(http, server, billing, price, alice, rows):
    persona(alice, billing)
    for messages in turns():
        body = {"chat_history": messages[1:], "persona": "maya"}
        assert http.post(f"{server}/api/v1/chat", json=body, timeout=20).status_code == 200

    written = [row for row in rows() if row.cache_mode]
    assert {"full", "continue"} < {row.cache_mode for row in written}
    assert [row.expected_cached for row in written] == [c["cached"] for c in billing.calls]
    assert sum(row.saved for row in written) > 0
