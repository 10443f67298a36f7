"""What the pages of an account promise, asked without a browser."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.core import mail
from django.test import Client
from django.utils import timezone

from alchemyst.accounts.limits import rate
from alchemyst.accounts.models import ApiKey, AuditEntry, User
from tests.conftest import PASSWORD

NEW = "an-entirely-new-password"


def text_of(page: Any) -> str:
    return page.content.decode()


class TestSigningUp:
    FIELDS = {"username": "carol", "email": "", "password": NEW}

    def test_makes_an_account_and_signs_in(self, client: Client, db: None):
        page = client.post("/signup", self.FIELDS, follow=True)

        assert page.redirect_chain == [("/", 302), ("/chat", 302)]
        assert page.context["user"].username == "carol"

    def test_of_a_taken_name_in_another_case_is_refused(self, client: Client, alice: User):
        page = client.post("/signup", self.FIELDS | {"username": "ALICE"})

        assert "This username is taken." in text_of(page)
        assert User.objects.count() == 1

    @pytest.mark.parametrize("password", ["short", "12345678901", "password"])
    def test_with_a_weak_password_is_refused(self, client: Client, db: None, password: str):
        page = client.post("/signup", self.FIELDS | {"password": password})

        assert page.context["form"].errors["password"]
        assert not User.objects.exists()

    def test_is_closed_where_the_operator_says_so(self, client: Client, db: None, settings: Any):
        settings.REGISTRATION_OPEN = False

        assert client.get("/signup").status_code == 403
        assert client.post("/signup", self.FIELDS).status_code == 403
        assert "/signup" not in text_of(client.get("/"))

    def test_is_limited_by_address(self, client: Client, db: None, limited: Any):
        limited(anonymous=(1, 60))
        client.post("/signup", self.FIELDS | {"password": ""})

        page = client.post("/signup", self.FIELDS)

        assert "Too many attempts" in text_of(page)
        assert not User.objects.exists()


class TestSigningIn:
    def test_leads_to_the_page_that_was_asked_for(self, client: Client, alice: User):
        redirect = client.get("/keys")

        page = client.post(redirect.url, {"username": "alice", "password": PASSWORD})

        assert page.url == "/keys"

    def test_never_leads_to_another_host(self, client: Client, alice: User):
        page = client.post(
            "/signin?next=https://evil.example/", {"username": "alice", "password": PASSWORD}
        )

        assert page.url == "/"

    def test_is_throttled_as_the_api_is(self, client: Client, alice: User, limited: Any):
        limited(login=(1, 60))
        client.post("/signin", {"username": "alice", "password": "wrong"})

        page = client.post("/signin", {"username": "alice", "password": PASSWORD})

        assert "Too many attempts" in text_of(page)

    def test_out_needs_a_form(self, alices: Client):
        assert alices.get("/signout").status_code == 405


class TestThePassword:
    def change(self, client: Client, old: str = PASSWORD) -> Any:
        fields = {"old_password": old, "new_password1": NEW, "new_password2": NEW}
        return client.post("/settings/password", fields)

    def test_changed_ends_other_sessions_and_not_this_one(self, alices: Client, alice: User):
        elsewhere = Client()
        elsewhere.force_login(alice)

        self.change(alices)

        assert alices.get("/settings").status_code == 200
        assert elsewhere.get("/settings").status_code == 302

    def test_changed_ends_tokens(self, alices: Client, as_alice: Any):
        self.change(alices)

        assert as_alice.get("/api/v1/auth/keys").status_code == 401

    def test_changes_for_who_knows_the_old_one(self, alices: Client, alice: User):
        self.change(alices, old="wrong")

        alice.refresh_from_db()
        assert alice.check_password(PASSWORD)

    def test_forgotten_is_replaced_by_a_link_that_works_once(self, client: Client, alice: User):
        User.objects.filter(pk=alice.pk).update(email="alice@example.org")
        client.post("/password/reset", {"email": "Alice@example.org"})
        link = re.search(r"http://testserver(/\S+)", str(mail.outbox[0].body))[1]  # type: ignore[index]

        form = client.get(link, follow=True)
        client.post(form.request["PATH_INFO"], {"new_password1": NEW, "new_password2": NEW})

        alice.refresh_from_db()
        assert alice.check_password(NEW)
        assert "no longer works" in text_of(Client().get(link, follow=True))

    def test_forgotten_tells_nobody_who_has_an_account(self, client: Client, alice: User):
        page = client.post("/password/reset", {"email": "nobody@example.org"}, follow=True)

        assert "If there is an account" in text_of(page)
        assert mail.outbox == []

    def test_forgotten_sends_no_flood_of_mail(self, client: Client, alice: User, limited: Any):
        User.objects.filter(pk=alice.pk).update(email="alice@example.org")
        limited(login=(1, 60))

        for _ in range(3):
            client.post("/password/reset", {"email": "alice@example.org"})

        assert len(mail.outbox) == 1


class TestPreferences:
    def test_are_kept_in_the_account_and_by_the_browser(self, alices: Client, alice: User):
        chosen = {"theme": "dark", "language": "", "relevance": "lax", "keep_chats_days": "30"}

        answer = alices.post("/settings", chosen)

        alice.refresh_from_db()
        assert (alice.theme, alice.relevance, alice.keep_chats_days) == ("dark", "lax", 30)
        assert answer.cookies["theme"].value == "dark"
        assert 'data-theme="dark"' in text_of(alices.get("/settings"))

    def test_that_are_emptied_are_forgotten(self, alices: Client, alice: User):
        User.objects.filter(pk=alice.pk).update(theme="dark", keep_chats_days=30)

        answer = alices.post("/settings", {})

        alice.refresh_from_db()
        assert (alice.theme, alice.keep_chats_days) == ("", None)
        assert answer.cookies["theme"]["max-age"] == 0

    def test_stand_beside_what_staff_did_as_far_as_it_is_shown(
        self, alices: Client, alice: User, bob: User
    ):
        AuditEntry.note(bob, "read", about=alice, reason="a complaint", is_shown=True)
        AuditEntry.note(bob, "blocked", about=alice, reason="a secret", is_shown=False)

        page = text_of(alices.get("/settings"))

        assert "a complaint" in page
        assert "a secret" not in page

    def test_refuse_what_is_not_offered(self, alices: Client, alice: User):
        page = alices.post("/settings", {"theme": "neon", "relevance": "chaotic"})

        assert set(page.context["form"].errors) == {"theme", "relevance"}


class TestKeys:
    FIELDS = {"name": "laptop", "scopes": ["proxy"], "expires": "30", "relevance": "lax"}

    def make(self, client: Client, **fields: Any) -> tuple[ApiKey, str]:
        page = text_of(client.post("/keys/new", self.FIELDS | fields))
        return ApiKey.objects.get(), re.search(r"alk_[\w-]{43}", page)[0]  # type: ignore[index]

    def test_are_shown_once_with_lines_to_paste(self, alices: Client):
        key, text = self.make(alices)

        assert ApiKey.objects.for_secret(text).get() == key
        assert text not in text_of(alices.get("/keys"))
        assert f"{key.prefix}…" in text_of(alices.get("/keys"))

    def test_may_ask_the_chat_api_where_nothing_else_is_ticked(self, alices: Client):
        ticked = alices.get("/keys/new").context["form"]["scopes"].value()

        assert ticked == ["proxy", "chat", "internal"]

    def test_are_not_kept_by_the_browser(self, alices: Client):
        answer = alices.post("/keys/new", self.FIELDS)

        assert "no-store" in answer.headers["cache-control"]

    def test_have_what_was_asked_for(self, alices: Client):
        key, _ = self.make(
            alices, allowed_models="gpt-4*\no3", allowed_hosts="API.openai.com", records="scores"
        )

        assert (key.scopes, key.relevance, key.records) == (["proxy"], "lax", "scores")
        assert key.allowed_models == ["gpt-4*", "o3"]
        assert key.allowed_hosts == ["api.openai.com"]
        assert key.expires_at is not None
        assert timedelta(days=29) < key.expires_at - timezone.now() <= timedelta(days=30)

    def test_without_limits_may_do_anything_for_ever(self, alices: Client):
        key, _ = self.make(alices, expires="0")

        assert (key.allowed_models, key.allowed_hosts, key.expires_at) == (None, None, None)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("name", ""), ("scopes", []), ("scopes", ["root"]), ("allowed_models", "a*b")],
    )
    def test_that_make_no_sense_are_explained_at_their_field(
        self, alices: Client, field: str, value: Any
    ):
        page = alices.post("/keys/new", self.FIELDS | {field: value})

        assert list(page.context["form"].errors) == [field]
        assert not ApiKey.objects.exists()

    def test_revoked_are_refused_until_they_are_given_back(self, alices: Client, anyone: Any):
        key, text = self.make(alices)
        anyone.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")

        alices.post(f"/keys/{key.pk}/revoke")
        refused = anyone.get("/api/v1/auth/keys").status_code
        alices.post("/keys/restore")

        assert refused == 401
        assert anyone.get("/api/v1/auth/keys").status_code == 200
        assert abs(ApiKey.objects.get().created - key.created) < timedelta(milliseconds=1)

    def test_are_given_back_once(self, alices: Client):
        key, _ = self.make(alices)
        alices.post(f"/keys/{key.pk}/revoke")
        alices.post("/keys/restore")

        assert alices.post("/keys/restore").status_code == 404

    def test_changed_lose_scopes_and_keep_their_text_and_end(self, alices: Client):
        before, text = self.make(alices, scopes=["proxy", "chat"], allowed_models="gpt-4*")
        fields = {"name": "desk", "scopes": ["proxy"], "expires": "-1", "allowed_models": "o3"}

        alices.post(f"/keys/{before.pk}", fields)

        key = ApiKey.objects.for_secret(text).get()
        assert (key.name, key.scopes, key.allowed_models) == ("desk", ["proxy"], ["o3"])
        assert key.expires_at == before.expires_at

    def test_gain_no_scopes(self, alices: Client):
        key, _ = self.make(alices)

        page = alices.post(f"/keys/{key.pk}", self.FIELDS | {"scopes": ["proxy", "chat"]})

        assert list(page.context["form"].errors) == ["scopes"]
        assert ApiKey.objects.get().scopes == ["proxy"]

    def test_are_shown_as_they_are_before_they_are_changed(self, alices: Client):
        key, _ = self.make(alices, allowed_hosts="api.openai.com", records="texts")

        form = alices.get(f"/keys/{key.pk}").context["form"]

        assert form["allowed_hosts"].value() == "api.openai.com"
        assert (form["records"].value(), form["expires"].value()) == ("texts", -1)

    def test_keep_conversations_as_chats_where_that_is_chosen(self, alices: Client):
        key, _ = self.make(alices, keeps_chats="on")
        assert key.keeps_chats
        assert alices.get(f"/keys/{key.pk}").context["form"]["keeps_chats"].value() is True
        assert "kept as chats" in text_of(alices.get("/keys"))

        alices.post(f"/keys/{key.pk}", self.FIELDS)

        assert not ApiKey.objects.get().keeps_chats

    def test_of_somebody_else_are_not_found(self, alices: Client, bobs: Client):
        key, _ = self.make(alices)
        assert bobs.get(f"/keys/{key.pk}").status_code == 404
        assert bobs.post(f"/keys/{key.pk}", self.FIELDS).status_code == 404

        assert bobs.post(f"/keys/{key.pk}/revoke").status_code == 404
        assert "laptop" not in text_of(bobs.get("/keys"))
        assert ApiKey.objects.exists()

    def test_are_named_by_text_not_markup(self, alices: Client):
        self.make(alices, name="<script>alert(1)</script>")

        assert "<script>alert" not in text_of(alices.get("/keys"))


class TestExport:
    def test_holds_what_is_kept_and_nothing_that_opens(
        self, server: str, alices: Client, bob: User
    ):
        ApiKey.make(bob, name="bobs", scopes=["proxy"])
        alices.post("/keys/new", TestKeys.FIELDS)
        session = {"sessionid": alices.cookies["sessionid"].value}

        body = requests.get(f"{server}/settings/export", cookies=session, timeout=10).content

        exported = json.loads(body)
        assert exported["account"][0]["username"] == "alice"
        assert [key["name"] for key in exported["api_keys"]] == ["laptop"]
        assert ApiKey.objects.get(name="laptop").digest.encode() not in body
        assert b"password" not in body

    def test_is_for_who_is_signed_in(self, client: Client, db: None):
        assert client.get("/settings/export").status_code == 302


class TestErasing:
    def test_ends_the_account_and_all_that_it_owns(self, alices: Client, alice: User):
        ApiKey.make(alice, name="laptop", scopes=["proxy"])

        page = alices.post("/settings/erase", {"password": PASSWORD}, follow=True)

        assert not User.objects.exists()
        assert not ApiKey.objects.exists()
        assert "are erased" in text_of(page)
        assert not page.context["user"].is_authenticated

    def test_needs_the_password(self, alices: Client):
        page = alices.post("/settings/erase", {"password": "wrong"})

        assert "not your password" in text_of(page)
        assert User.objects.exists()

    def test_lets_nobody_guess_the_password(self, alices: Client, limited: Any):
        rate.clear()
        limited(login=(1, 60))
        alices.post("/settings/erase", {"password": "wrong"})

        page = alices.post("/settings/erase", {"password": PASSWORD})

        assert "Too many attempts" in text_of(page)
        assert User.objects.exists()

    def test_keeps_the_last_administrator(self, alices: Client, alice: User):
        User.objects.filter(pk=alice.pk).update(is_superuser=True)

        page = alices.post("/settings/erase", {"password": PASSWORD})

        assert "only administrator" in text_of(page)
        assert User.objects.exists()


@pytest.mark.parametrize("path", ["/settings", "/settings/password", "/settings/erase", "/keys"])
def test_a_stranger_is_asked_to_sign_in_first(client: Client, db: None, path: str):
    assert client.get(path).url == f"/signin?next={path}"  # type: ignore[attr-defined]
