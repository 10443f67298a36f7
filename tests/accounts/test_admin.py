from __future__ import annotations

import pytest
from django.urls import reverse

from alchemyst.accounts.models import SCOPES, ApiKey, User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(alice):
    return ApiKey.make(alice, name="laptop", scopes=SCOPES)[0]


class TestUsers:
    def test_are_listed_without_a_query_for_each(
        self, admin_client, alice, key, django_assert_max_num_queries
    ):
        for number in range(20):
            User.objects.create_user(f"user{number}")

        with django_assert_max_num_queries(12):
            page = admin_client.get(reverse("admin:accounts_user_changelist"))

        assert page.status_code == 200

    def test_show_no_part_of_a_password(self, admin_client, alice):
        page = admin_client.get(reverse("admin:accounts_user_change", args=[alice.pk]))

        assert page.status_code == 200
        assert alice.password not in page.content.decode()

    def test_can_be_made(self, admin_client):
        body = {"username": "carol", "password1": PASSWORD, "password2": PASSWORD,
                "usable_password": "true"}  # fmt: skip

        response = admin_client.post(reverse("admin:accounts_user_add"), body)

        assert response.status_code == 302
        assert User.objects.get(username="carol").check_password(PASSWORD)

    def test_can_be_switched_off_and_their_tokens_end(self, admin_client, as_alice, alice):
        assert as_alice.get("/api/v1/auth/keys").status_code == 200
        body = {"username": "alice", "scopes": SCOPES, "limit-TOTAL_FORMS": 0,
                "limit-INITIAL_FORMS": 0}  # fmt: skip

        admin_client.post(reverse("admin:accounts_user_change", args=[alice.pk]), body)

        alice.refresh_from_db()
        assert not alice.is_active
        assert as_alice.get("/api/v1/auth/keys").status_code == 401


class TestKeys:
    @pytest.mark.parametrize("query", ["", "?state=alive", "?state=dead", "?q=alice"])
    def test_are_listed_without_a_query_for_each(
        self, admin_client, alice, key, django_assert_max_num_queries, query
    ):
        for number in range(20):
            ApiKey.make(alice, name=str(number), scopes=SCOPES)

        with django_assert_max_num_queries(12):
            page = admin_client.get(reverse("admin:accounts_apikey_changelist") + query)

        assert page.status_code == 200

    def test_are_told_apart_by_whether_they_are_accepted(self, admin_client, alice, key):
        url = reverse("admin:accounts_apikey_changelist")
        assert "laptop" in admin_client.get(f"{url}?state=alive").content.decode()

        alice.is_active = False
        alice.save()

        assert "laptop" in admin_client.get(f"{url}?state=dead").content.decode()
        assert "laptop" not in admin_client.get(f"{url}?state=alive").content.decode()

    def test_show_their_beginning_alone_and_can_not_be_changed(self, admin_client, key):
        page = admin_client.get(reverse("admin:accounts_apikey_change", args=[key.pk]))

        assert page.status_code == 200
        assert key.prefix in page.content.decode()
        assert key.digest not in page.content.decode()
        assert b'name="_save"' not in page.content

    def test_can_not_be_made(self, admin_client):
        assert admin_client.get(reverse("admin:accounts_apikey_add")).status_code == 403

    def test_are_revoked_by_deleting_them(self, admin_client, alice, bearing):
        key, text = ApiKey.make(alice, name="laptop", scopes=SCOPES)
        as_key = bearing(text)
        assert as_key.get("/api/v1/auth/keys").status_code == 200

        admin_client.post(
            reverse("admin:accounts_apikey_changelist"),
            {"action": "delete_selected", "_selected_action": [key.pk], "post": "yes"},
        )

        assert as_key.get("/api/v1/auth/keys").status_code == 401


def test_refused_tokens_have_no_page(admin_client):
    assert admin_client.get("/admin/token_blacklist/outstandingtoken/").status_code == 404
