"""Who is let in: one answer for the JSON API and for the proxy's own path."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from alchemyst.accounts.auth import authentication
from alchemyst.accounts.auth.access import Access
from alchemyst.accounts.auth.authentication import authenticate
from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.auth.token_cache import TokenCache, cached_tokens
from alchemyst.accounts.models import SCOPES, ApiKey, User
from tests.accounts.conftest import bearer

KEYS = "/api/v1/auth/keys"

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["api", "proxy"])
def ask(request, bearing, on_proxy):
    """Show a token in both places that take one, and return status and error."""

    def at_api(token: str) -> tuple[int, Any]:
        response = bearing(token).get(KEYS)
        return response.status_code, response.json()

    def at_proxy(token: str) -> tuple[int, Any]:
        answer = on_proxy(bearer(token))
        assert not answer.has_read_body
        return answer.status, answer.body

    return at_api if request.param == "api" else at_proxy


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def signed(
    claims: dict[str, Any], *, key: str = "", algorithm: str = "HS256", **header: Any
) -> str:
    return jwt.encode(claims, key or settings.JWT_KEY, algorithm=algorithm, headers=header)


def unsigned(header: object, claims: object) -> str:
    pieces = (json.dumps(piece).encode() for piece in (header, claims))
    return ".".join(base64.urlsafe_b64encode(piece).decode().rstrip("=") for piece in pieces) + "."


class TestASoundToken:
    def test_is_let_in(self, ask, token, make_key):
        assert ask(token)[0] == 200
        assert ask(make_key("proxy"))[0] == 200

    def test_asks_the_database_once(self, ask, token):
        ask(token)

        with CaptureQueriesContext(connection) as queries:
            assert ask(token)[0] == 200

        assert not [q for q in queries if "accounts_user" in q["sql"]]


class TestAForgedToken:
    def test_is_refused_with_one_text(self, ask, alice, token):
        claims = claims_of(token)
        later = int(time.time()) + 600
        refresh = issue(alice).refresh
        forged = {
            "another key": signed(claims, key="k" * 64),
            "SECRET_KEY": signed(claims, key=settings.SECRET_KEY),
            "another algorithm": signed(claims, algorithm="HS512"),
            "no algorithm": unsigned({"alg": "none", "typ": "JWT"}, claims),
            "no Algorithm": unsigned({"alg": "nOnE"}, claims),
            "no signature": token.rpartition(".")[0] + ".",
            "changed claims": splice(token, claims | {"user_id": "1000"}),
            "unknown crit": signed(claims, crit=["exp", "unknown"]),
            "expired": signed(claims | {"exp": later - 1200}),
            "no end": signed(without(claims, "exp")),
            "not yet": signed(claims | {"nbf": later}),
            "another audience": signed(claims | {"aud": "elsewhere"}),
            "no audience": signed(without(claims, "aud")),
            "another issuer": signed(claims | {"iss": "elsewhere"}),
            "no issuer": signed(without(claims, "iss")),
            "no id": signed(without(claims, "jti")),
            "no type": signed(without(claims, "token_type")),
            "refresh token": refresh,
            "another type": signed(claims | {"token_type": "sliding"}),
            "no user": signed(without(claims, "user_id")),
            "user of another type": signed(claims | {"user_id": "alice"}),
            "user as a list": signed(claims | {"user_id": [1]}),
            "user too large": signed(claims | {"user_id": "9" * 40}),
            "unknown user": signed(claims | {"user_id": "424242"}),
            "another password": signed(claims | {"auth_hash": "x"}),
            "no password": signed(without(claims, "auth_hash")),
            "password of another type": signed(claims | {"auth_hash": 5}),
            "end of another type": signed(claims | {"exp": "soon"}),
            "end beyond time": signed(claims | {"exp": 10**30}),
            "nested header": nested("["),
            "a list for claims": unsigned({"alg": "HS256"}, []),
            "garbage": "garbage",
            "dots": "...",
            "not ASCII": "é",
            "half a key": "alk_",
            "unknown key": f"alk_{'x' * 43}",
            "SQL": "alk_' OR 1=1 --".replace(" ", "/**/"),
        }

        refused = {name: ask(text) for name, text in forged.items()}

        assert {name: status for name, (status, _) in refused.items() if status != 401} == {}
        assert len({json.dumps(body) for _, body in refused.values()}) == 1

    def test_is_not_remembered(self, ask):
        ask("garbage")

        assert len(cached_tokens) == 0


def without(claims: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in claims.items() if key != name}


def splice(token: str, claims: dict[str, Any]) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{unsigned({}, claims).split('.')[1]}.{signature}"


def nested(bracket: str) -> str:
    return base64.urlsafe_b64encode(bracket.encode() * 6000).decode() + ".e30.e30"


class TestTheHeader:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    def test_takes_the_scheme_in_any_case(self, on_proxy, token, scheme):
        answer = on_proxy((b"authorization", f"{scheme} {token}".encode()))

        assert answer.status == 200

    @pytest.mark.parametrize(
        "value",
        ["", "Bearer", "Bearer ", "{token}", "Basic {token}", "Bearer {token} x", "Token {token}",
         "Bearer {token}, Bearer {token}", "Bearer\t", "Bearer " + "x" * 8193, "\xff"],
    )  # fmt: skip
    def test_is_refused_unless_it_is_one_bearer_token(
        self, bearing, anyone, on_proxy, token, value
    ):
        value = value.format(token=token)
        anyone.credentials(HTTP_AUTHORIZATION=value)

        answer = on_proxy((b"authorization", value.encode("latin-1")))

        assert answer.status == anyone.get(KEYS).status_code == 401
        assert answer.headers[b"www-authenticate"] == b"Bearer"
        assert answer.error["code"] == "invalid_token"
        assert not answer.has_read_body

    def test_is_refused_when_missing_or_given_twice(self, on_proxy, token):
        missing = on_proxy()
        twice = on_proxy(bearer(token), bearer(token))

        assert missing.status == twice.status == 401


class TestScopes:
    def test_of_a_key_without_the_one_needed_are_refused(self, on_proxy, make_key):
        answer = on_proxy(bearer(make_key("chat", "internal", "external")))

        assert answer.status == 403
        assert answer.error["type"] == "permission_error"
        assert answer.error["code"] == "insufficient_scope"
        assert not answer.has_read_body

    def test_of_a_jwt_are_all(self, token):
        assert authenticate(token.encode()).scopes == set(SCOPES)


class TestTheRelevanceMode:
    @pytest.mark.parametrize(
        ("of_key", "of_user", "expected"),
        [("lax", "strict", "lax"), ("", "strict", "strict"), ("", "", "")],
    )
    def test_is_the_keys_or_else_the_users(
        self, on_proxy, make_key, alice, of_key, of_user, expected
    ):
        User.objects.filter(pk=alice.pk).update(relevance=of_user)
        key = make_key("proxy", relevance=of_key)

        answer = on_proxy(bearer(key))

        assert answer.body["relevance"] == expected


class TestTheEndOfAToken:
    """All of it holds although the token was let in, and remembered, a moment ago."""

    def test_comes_at_once_with_a_new_password(self, ask, alice, token):
        assert ask(token)[0] == 200
        alice.set_password("another-horse-battery")
        alice.save()

        assert ask(token)[0] == 401

    @pytest.mark.parametrize("kind", ["jwt", "key"])
    def test_comes_at_once_when_the_account_is_switched_off(
        self, ask, alice, token, make_key, kind
    ):
        bearer_token = token if kind == "jwt" else make_key()
        assert ask(bearer_token)[0] == 200
        alice.is_active = False
        alice.save()

        assert ask(bearer_token)[0] == 401

    @pytest.mark.parametrize("kind", ["jwt", "key"])
    def test_comes_at_once_when_the_account_is_deleted(self, ask, alice, token, make_key, kind):
        bearer_token = token if kind == "jwt" else make_key()
        assert ask(bearer_token)[0] == 200
        alice.delete()

        assert ask(bearer_token)[0] == 401

    @pytest.mark.parametrize("change", ["update", "delete"])
    def test_comes_at_once_when_many_accounts_change(self, ask, token, change):
        assert ask(token)[0] == 200
        if change == "update":
            User.objects.update(is_active=False)
        else:
            User.objects.filter(username="alice").delete()

        assert ask(token)[0] == 401

    @pytest.mark.django_db(transaction=True)
    def test_comes_at_once_when_the_change_is_committed(self, ask, alice, token):
        with transaction.atomic():
            alice.set_password("another-horse-battery")
            alice.save()
            # As another thread would, which still sees the old row.
            cached_tokens.put(
                token.encode(),
                Access(alice, frozenset(SCOPES), "", None, float("inf")),
                generation=cached_tokens.generation,
            )

        assert ask(token)[0] == 401

    def test_comes_at_once_when_the_key_is_revoked(self, ask, make_key):
        text = make_key()
        assert ask(text)[0] == 200
        ApiKey.objects.get().delete()

        assert ask(text)[0] == 401

    def test_comes_with_the_keys_own(self, ask, make_key):
        text = make_key(expires_at=datetime.now(UTC) + timedelta(seconds=0.4))
        assert ask(text)[0] == 200
        time.sleep(0.5)

        assert ask(text)[0] == 401

    def test_made_elsewhere_is_seen_when_the_cached_token_ends(self, ask, token, monkeypatch):
        monkeypatch.setattr(settings, "AUTH_MEMORY_SECONDS", 0.3)
        assert ask(token)[0] == 200
        with connection.cursor() as cursor:
            cursor.execute("UPDATE accounts_user SET is_active = %s", [False])
        time.sleep(0.4)

        assert ask(token)[0] == 401


class TestTheTokenCache:
    def test_tells_tokens_apart_by_their_whole_text(self, alice):
        small = TokenCache()
        small.put(b"x" * 500 + b"a", Access(alice, frozenset(), "", None, 1e12), generation=0)

        assert small.get(b"x" * 500 + b"b") is None

    def test_keeps_nothing_read_before_something_was_forgotten(self, token, monkeypatch):
        def slow(text: str) -> Access:
            access = of_jwt(text)
            cached_tokens.forget(access.user.pk)
            return access

        of_jwt = authentication._of_jwt
        monkeypatch.setattr(authentication, "_of_jwt", slow)

        authenticate(token.encode())

        assert cached_tokens.get(token.encode()) is None

    def test_asks_the_database_nothing_of_a_token_that_is_cached(
        self, token, django_assert_num_queries
    ):
        bearer_token = token.encode()
        authenticate(bearer_token)

        with django_assert_num_queries(0):
            accesses = [authenticate(bearer_token) for _ in range(1000)]

        assert accesses == [cached_tokens.get(bearer_token)] * 1000


class TestTheLastUseOfAKey:
    def test_is_written_once_a_minute(self, make_key):
        text = make_key().encode()
        authenticate(text)
        first = ApiKey.objects.get().last_used
        cached_tokens.forget()

        authenticate(text)

        assert first is not None
        assert ApiKey.objects.get().last_used == first

    def test_does_not_end_what_is_cached(self, make_key):
        text = make_key().encode()

        authenticate(text)

        assert cached_tokens.get(text) is not None


def test_an_access_does_not_show_the_token(token, make_key):
    for bearer_token in (token, make_key()):
        assert bearer_token not in repr(authenticate(bearer_token.encode()))
    assert "eyJ" not in repr(issue(User.objects.get()))
