from __future__ import annotations

import json

import pytest
from django.conf import settings

from alchemyst.accounts.models import User
from tests.conftest import PASSWORD

URL = "/api/v1/auth/register"

pytestmark = pytest.mark.django_db


class TestRegister:
    def test_makes_an_account_that_can_sign_in(self, anyone, sign_in):
        body = {"username": "carol", "email": "carol@example.org", "password": PASSWORD}

        response = anyone.post(URL, body, format="json")

        assert response.status_code == 201
        carol = User.objects.get(username="carol")
        assert response.json() == {
            "id": carol.pk,
            "username": "carol",
            "email": "carol@example.org",
        }
        assert sign_in("carol").status_code == 200

    def test_needs_no_email(self, anyone):
        response = anyone.post(URL, {"username": "carol", "password": PASSWORD}, format="json")

        assert response.status_code == 201
        assert response.json()["email"] == ""

    def test_gives_no_rights_that_the_body_asks_for(self, anyone):
        body = {"username": "carol", "password": PASSWORD, "is_staff": True, "is_superuser": True}

        anyone.post(URL, body, format="json")

        carol = User.objects.get(username="carol")
        assert not carol.is_staff
        assert not carol.is_superuser

    @pytest.mark.parametrize("name", ["alice", "Alice"])
    def test_of_a_name_that_is_taken_in_any_case_is_a_conflict(self, anyone, alice, name):
        response = anyone.post(URL, {"username": name, "password": PASSWORD}, format="json")

        assert response.status_code == 409
        assert response.json()["details"] == {"username": ["This username is taken."]}
        assert User.objects.count() == 1

    @pytest.mark.parametrize("password", ["short", "password123", "8264910573", "carol123"])
    def test_refuses_a_weak_password(self, anyone, password):
        response = anyone.post(URL, {"username": "carol", "password": password}, format="json")

        assert response.status_code == 400
        assert list(response.json()["details"]) == ["password"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("username", ""),
            ("username", None),
            ("username", True),
            ("username", ["carol"]),
            ("username", {"a": 1}),
            ("username", "car ol"),
            ("username", "c\0arol"),
            ("username", "c\ud800"),
            ("username", "c" * 151),
            ("email", "no address"),
            ("password", ["x"]),
            ("password", "x" * 2000),
        ],
    )
    def test_names_the_field_that_is_wrong(self, anyone, field, value):
        body = {"username": "carol", "password": PASSWORD, field: value}

        response = anyone.post(URL, json.dumps(body), content_type="application/json")

        assert response.status_code == 400
        assert list(response.json()["details"]) == [field]

    def test_can_be_switched_off(self, anyone, monkeypatch):
        monkeypatch.setattr(settings, "REGISTRATION_OPEN", False)

        response = anyone.post(URL, {"username": "carol", "password": PASSWORD}, format="json")

        assert response.status_code == 403
        assert response.json()["error"] == "permission_error"
        assert not User.objects.exists()
