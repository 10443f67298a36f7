"""Signing in, refreshing, verifying, signing out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from alchemyst.accounts.auth.jwt import issue, rotate
from alchemyst.accounts.models import User
from tests.conftest import PASSWORD

TOKEN = "/api/v1/auth/token"
REFRESH = "/api/v1/auth/token/refresh"
VERIFY = "/api/v1/auth/token/verify"
LOGOUT = "/api/v1/auth/logout"
KEYS = "/api/v1/auth/keys"

# More brackets in brackets than Python's JSON reader stands.
NESTED = "[" * 100_000

pytestmark = pytest.mark.django_db


class TestSigningIn:
    def test_gives_an_access_token_that_opens_the_api(self, alice, sign_in, bearing):
        pair = sign_in().json()

        assert sorted(pair) == ["access", "refresh"]
        assert bearing(pair["access"]).get(KEYS).status_code == 200

    def test_works_with_the_name_in_another_case(self, alice, sign_in):
        assert sign_in("ALICE").status_code == 200

    def test_notes_when(self, alice, sign_in):
        sign_in()

        alice.refresh_from_db()
        assert alice.last_login is not None

    def test_answers_alike_for_a_wrong_password_a_stranger_and_one_switched_off(
        self, alice, bob, sign_in
    ):
        bob.is_active = False
        bob.save()

        answers = [sign_in("alice", "wrong"), sign_in("nobody", "wrong"), sign_in("bob")]

        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.content for answer in answers}) == 1
        assert answers[0].json()["error"] == "authentication_error"
        assert answers[0]["WWW-Authenticate"] == "Bearer"

    def test_does_not_look_at_a_header_that_comes_along(self, alice, bearing):
        body = {"username": "alice", "password": PASSWORD}

        assert bearing("garbage").post(TOKEN, body, format="json").status_code == 200

    def test_accepts_a_slash_at_the_end(self, alice, anyone):
        body = {"username": "alice", "password": PASSWORD}

        assert anyone.post(f"{TOKEN}/", body, format="json").status_code == 200


class TestRefreshing:
    def test_gives_a_new_pair_that_works(self, alice, anyone, sign_in, bearing):
        old = sign_in().json()

        new = anyone.post(REFRESH, {"refresh": old["refresh"]}, format="json")

        assert new.status_code == 200
        assert bearing(new.json()["access"]).get(KEYS).status_code == 200
        again = anyone.post(REFRESH, {"refresh": new.json()["refresh"]}, format="json")
        assert again.status_code == 200

    def test_ends_the_old_refresh_token(self, alice, anyone, sign_in):
        old = sign_in().json()
        anyone.post(REFRESH, {"refresh": old["refresh"]}, format="json")

        response = anyone.post(REFRESH, {"refresh": old["refresh"]}, format="json")

        assert response.status_code == 401
        assert response.json()["error"] == "authentication_error"

    @pytest.mark.parametrize("ending", ["switched off", "deleted", "new password"])
    def test_is_refused_once_the_account_has_changed(self, alice, anyone, sign_in, ending):
        refresh = sign_in().json()["refresh"]
        end(alice, ending)

        response = anyone.post(REFRESH, {"refresh": refresh}, format="json")

        assert response.status_code == 401

    def test_takes_no_access_token(self, alice, anyone, token):
        assert anyone.post(REFRESH, {"refresh": token}, format="json").status_code == 401

    def test_keeps_no_text_of_a_token(self, alice, anyone, sign_in):
        refresh = sign_in().json()["refresh"]
        anyone.post(REFRESH, {"refresh": refresh}, format="json")

        assert {row.token for row in OutstandingToken.objects.all()} == {""}

    def test_forgets_refused_ids_that_have_expired(self, alice, sign_in):
        old = alice.date_joined.replace(year=2000)
        OutstandingToken.objects.create(user=alice, jti="old", token="", expires_at=old)

        sign_in()

        assert not OutstandingToken.objects.filter(jti="old").exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_refreshes_at_once_one_passes(alice):
    refresh = issue(alice).refresh

    def attempt(_: int) -> bool:
        try:
            rotate(refresh)
        except Exception:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        passed = list(pool.map(attempt, range(8)))

    assert passed.count(True) == 1


class TestVerifying:
    def test_accepts_what_would_be_accepted(self, alice, anyone, sign_in, make_key):
        pair = sign_in().json()

        for token in (pair["access"], pair["refresh"], make_key("chat")):
            response = anyone.post(VERIFY, {"token": token}, format="json")
            assert response.status_code == 200
            assert response.json() == {}

    @pytest.mark.parametrize("ending", ["switched off", "deleted", "new password"])
    def test_refuses_the_tokens_of_an_account_that_has_changed(
        self, alice, anyone, sign_in, ending
    ):
        pair = sign_in().json()
        end(alice, ending)

        for token in pair.values():
            assert anyone.post(VERIFY, {"token": token}, format="json").status_code == 401

    @pytest.mark.parametrize("token", ["garbage", "a.b.c", "é.ü.ñ", "alk_nothing", "."])
    def test_refuses_garbage(self, anyone, token):
        assert anyone.post(VERIFY, {"token": token}, format="json").status_code == 401


class TestSigningOut:
    def test_ends_the_sessions_tokens_at_once(self, alice, anyone, sign_in, bearing):
        pair = sign_in().json()
        client = bearing(pair["access"])
        assert client.get(KEYS).status_code == 200

        response = anyone.post(LOGOUT, {"refresh": pair["refresh"]}, format="json")

        assert response.status_code == 204
        assert response.content == b""
        assert client.get(KEYS).status_code == 401
        again = anyone.post(REFRESH, {"refresh": pair["refresh"]}, format="json")
        assert again.status_code == 401

    def test_ends_access_tokens_from_before_a_refresh_too(self, alice, anyone, sign_in, bearing):
        first = sign_in().json()
        second = anyone.post(REFRESH, {"refresh": first["refresh"]}, format="json").json()

        anyone.post(LOGOUT, {"refresh": second["refresh"]}, format="json")

        assert bearing(first["access"]).get(KEYS).status_code == 401

    def test_leaves_other_sessions_alone(self, alice, anyone, sign_in, bearing):
        here, there = sign_in().json(), sign_in().json()

        anyone.post(LOGOUT, {"refresh": here["refresh"]}, format="json")

        assert bearing(there["access"]).get(KEYS).status_code == 200

    def test_twice_is_refused(self, alice, anyone, sign_in):
        refresh = sign_in().json()["refresh"]
        anyone.post(LOGOUT, {"refresh": refresh}, format="json")

        assert anyone.post(LOGOUT, {"refresh": refresh}, format="json").status_code == 401


@pytest.mark.parametrize("url", [TOKEN, REFRESH, VERIFY, LOGOUT])
class TestBadInput:
    @pytest.mark.parametrize(
        "body",
        [
            "",
            "{",
            "[]",
            '"text"',
            "7",
            "null",
            "{}",
            "NaN",
            '{"refresh": "\\ud800"}',
            b"\xff",
            NESTED,
        ],
        ids=range(11),
    )
    def test_is_answered_with_400_in_the_documented_shape(self, anyone, url, body):
        response = anyone.post(url, body, content_type="application/json")

        assert response.status_code == 400
        body = response.json()
        assert body.keys() <= {"message", "error", "details"}
        assert body["error"] == "invalid_request_error"
        assert body["message"]

    @pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
    def test_of_the_method_is_405(self, anyone, url, method):
        response = getattr(anyone, method)(url)

        assert response.status_code == 405
        assert response.json()["error"] == "invalid_request_error"

    def test_of_the_content_type_is_415(self, anyone, url):
        response = anyone.post(url, "a=b", content_type="application/x-www-form-urlencoded")

        assert response.status_code == 415

    def test_of_wrong_types_names_the_fields(self, anyone, url):
        body = {name: {"a": []} for name in ("username", "password", "refresh", "token")}

        response = anyone.post(url, body, format="json")

        assert response.status_code == 400
        assert response.json()["details"]


def end(user: User, how: str) -> None:
    match how:
        case "switched off":
            user.is_active = False
            user.save()
        case "deleted":
            user.delete()
        case "new password":
            user.set_password("another-horse-battery")
            user.save()
