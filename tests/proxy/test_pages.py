"""What the proxy's pages promise, asked without a browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from alchemyst.accounts.models import User
from proxy.models import Provider
from proxy.models.provider import MOST_PROVIDERS
from proxy.pages.playground import EXAMPLE

KEY = "sk-secret-of-alices-1234"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def text_of(page: Any) -> str:
    return page.content.decode()


class TestProviders:
    FIELDS = {
        "name": "openai",
        "dialect": "openai",
        "base_url": "https://api.openai.com/v1",
        "key": KEY,
    }

    def test_are_stored_with_their_key_sealed(self, alices: Client, alice: User):
        page = alices.post("/providers/new", self.FIELDS, follow=True)

        provider = Provider.objects.get()
        assert (provider.owner, provider.name) == (alice, "openai")
        assert KEY not in provider.sealed_key
        assert KEY not in text_of(page)
        assert "key ending in 1234" in text_of(page)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "Has Blanks"),
            ("name", "default"),
            ("base_url", "https://10.0.0.1/v1"),
            ("base_url", "ftp://example.com"),
            ("key", "has blanks"),
            ("dialect", "klingon"),
        ],
    )
    def test_that_the_api_would_refuse_are_explained_at_their_field(
        self, alices: Client, field: str, value: str
    ):
        page = alices.post("/providers/new", self.FIELDS | {field: value})

        assert list(page.context["form"].errors) == [field]
        assert not Provider.objects.exists()
        assert KEY not in text_of(page)

    def test_have_a_name_of_their_own(self, alices: Client):
        alices.post("/providers/new", self.FIELDS)

        page = alices.post("/providers/new", self.FIELDS)

        assert list(page.context["form"].errors) == ["name"]
        assert Provider.objects.count() == 1

    def test_are_shared_by_staff_alone(self, alices: Client, alice: User, bobs: Client):
        alices.post("/providers/new", self.FIELDS | {"is_shared": "on"})
        User.objects.filter(pk=alice.pk).update(is_staff=True)
        alices.post("/providers/new", self.FIELDS | {"name": "for-all", "is_shared": "on"})

        page = text_of(bobs.get("/providers"))

        assert not Provider.objects.get(name="openai").is_shared
        assert "for-all" in page
        assert "1234" not in page

    def test_deleted_can_be_had_back_with_their_key(self, alices: Client):
        alices.post("/providers/new", self.FIELDS)
        before = Provider.objects.get()

        alices.post(f"/providers/{before.pk}/delete")
        gone = not Provider.objects.exists()
        alices.post("/providers/restore")

        assert gone
        assert Provider.objects.get().sealed_key == before.sealed_key
        assert alices.post("/providers/restore").status_code == 404

    def test_of_somebody_else_are_not_found(self, alices: Client, bobs: Client):
        alices.post("/providers/new", self.FIELDS)

        answer = bobs.post(f"/providers/{Provider.objects.get().pk}/delete")

        assert answer.status_code == 404
        assert Provider.objects.exists()

    def test_are_so_many_and_no_more(self, alices: Client, alice: User):
        Provider.objects.bulk_create(
            Provider(owner=alice, name=f"p{n}", base_url="https://example.com")
            for n in range(MOST_PROVIDERS)
        )

        page = alices.post("/providers/new", self.FIELDS, follow=True)

        assert "Delete one first" in text_of(page)
        assert Provider.objects.count() == MOST_PROVIDERS


class TestPlayground:
    def fates(self, page: Any) -> list[str]:
        return [message.fate for message in page.context["given"].messages]

    def test_tells_the_fate_of_each_message(self, alices: Client):
        page = alices.post("/playground", {"text": EXAMPLE, "mode": "very_strict"})

        given = page.context["given"]
        assert len(given.messages) == 13
        assert "dropped" in self.fates(page)
        assert sum(m.tokens for m in given.messages if m.is_dropped) == given.tokens_left_out
        assert f"{given.tokens_sent} tokens sent" in text_of(page)

    def test_tells_the_tokens_of_every_mode(self, alices: Client):
        page = alices.post("/playground", {"text": EXAMPLE, "mode": "strict"})

        tokens = [tokens for _, _, tokens in page.context["modes"]]
        assert tokens == sorted(tokens)
        assert len(set(tokens)) > 1

    @pytest.mark.parametrize(
        "body",
        [
            {"messages": [{"role": "user", "content": "Tea?"}]},
            [{"role": "user", "content": "Tea?"}],
            {"contents": [{"role": "user", "parts": [{"text": "Tea?"}]}]},
            {
                "system": "Be brief",
                "messages": [{"role": "user", "content": [{"type": "text", "text": "Tea?"}]}],
            },
            {"model": "m", "input": "Tea?"},
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Tea?"}]}]},
            [{"role": "user", "content": [{"type": "input_text", "text": "Tea?"}]}],
        ],
    )
    def test_reads_what_sdks_send(self, alices: Client, body: Any):
        page = alices.post("/playground", {"text": json.dumps(body), "mode": "lax"})

        assert [message.text for message in page.context["given"].messages] == ["Tea?"]

    def test_reads_a_file_and_shows_its_text(self, alices: Client):
        upload = SimpleUploadedFile("chat.txt", EXAMPLE.encode())

        page = alices.post("/playground", {"text": "ignored", "mode": "off", "file": upload})

        assert page.context["text"] == EXAMPLE
        assert set(self.fates(page)) == {"kept"}

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"text": ""}, "Paste a conversation"),
            ({"text": "Dear diary"}, "Begin each message with"),
            ({"text": "{"}, "neither JSON nor JSON lines"),
            ({"text": '{"messages": []}'}, "messages"),
            ({"text": "[" * 10_000}, "nested too deeply"),
            ({"text": EXAMPLE, "mode": "chaotic"}, "Choose one of the modes"),
            ({"text": EXAMPLE, "pinned": "x"}, "use places such as"),
            ({"file": SimpleUploadedFile("x.png", b"\x89PNG\xff")}, "no text in UTF-8"),
            ({"file": SimpleUploadedFile("x.txt", b"x" * 3_000_000)}, "too large"),
        ],
    )
    def test_says_what_it_cannot_read(self, alices: Client, fields: dict[str, Any], said: str):
        page = alices.post("/playground", {"mode": "strict"} | fields)

        assert page.status_code == 200
        assert said in page.context["error"]
        assert "This could not be read" in text_of(page)

    def test_reads_no_more_messages_than_the_proxy(self, alices: Client, settings: Any):
        settings.PROXY_MAX_MESSAGES = 3

        page = alices.post("/playground", {"text": EXAMPLE, "mode": "strict"})

        assert "messages" in page.context["error"]

    def test_keeps_what_is_pinned_and_drops_what_is_excluded(self, alices: Client):
        asked = {"text": EXAMPLE, "mode": "very_strict", "pinned": "", "excluded": ""}

        pinned = alices.post("/playground", asked | {"pin": "2"})
        excluded = alices.post("/playground", asked | {"pinned": "2", "exclude": "0"})

        assert pinned.context["given"].messages[2].fate == "protected"
        assert (excluded.context["pinned"], excluded.context["excluded"]) == ("2", "0")
        assert excluded.context["given"].messages[0].fate == "dropped"

    def test_takes_a_pin_back_when_it_is_clicked_again(self, alices: Client):
        asked = {"text": EXAMPLE, "mode": "very_strict", "pinned": "2"}

        page = alices.post("/playground", asked | {"pin": "2"})

        assert page.context["pinned"] == ""

    def test_shows_hostile_text_as_text(self, alices: Client):
        page = text_of(alices.post("/playground", {"text": f"User: {HOSTILE}", "mode": "lax"}))

        assert "<script>alert" not in page
        assert "<img" not in page
        assert "&lt;script&gt;alert(1)" in page

    def test_is_for_who_is_signed_in(self, client: Client, db: None):
        assert client.get("/playground").status_code == 302
        assert client.post("/playground", {"text": EXAMPLE}).status_code == 302
