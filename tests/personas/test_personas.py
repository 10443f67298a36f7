"""Personas: who can see, make, change and delete them, and what stays when they change."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from rest_framework.test import APIClient

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import ApiKey, User
from chats.models import Chat
from personas.models import Persona, PersonaVersion
from proxy.models import Provider

PERSONAS = "/api/v1/personas"
PIRATE = {"slug": "pirate", "name": "Pirate", "system_prompt": "Answer like a pirate."}

SHIPPED = import_module("personas.migrations.0003_shipped").SHIPPED

pytestmark = pytest.mark.usefixtures("shipped")


@pytest.fixture
def as_staff(db: None) -> APIClient:
    client = APIClient()
    staff = User.objects.create_user("staff", is_staff=True)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(staff).access}")
    return client


@pytest.fixture
def pirate(as_alice: APIClient) -> dict[str, Any]:
    response = as_alice.post(PERSONAS, PIRATE, format="json")
    assert response.status_code == 201
    return dict(response.json())


def provider_of(owner: User, name: str = "mine", **fields: Any) -> Provider:
    provider = Provider(owner=owner, name=name, base_url="https://api.openai.com/v1", **fields)
    provider.seal("a-key-of-alice")
    provider.save()
    return provider


class TestShipped:
    def test_maya_and_the_others_are_there_for_everybody(self, as_alice: APIClient):
        personas = as_alice.get(PERSONAS).json()

        assert {persona["slug"] for persona in personas} == set(SHIPPED)
        assert all(persona["is_shared"] and persona["is_active"] for persona in personas)

    def test_no_two_of_them_have_the_same_instructions_or_avatar(self):
        assert len({content["system_prompt"] for content in SHIPPED.values()}) == len(SHIPPED)
        assert len({content["avatar"] for content in SHIPPED.values()}) == len(SHIPPED)

    @pytest.mark.parametrize("slug", SHIPPED)
    def test_each_of_them_is_sound(self, slug: str):
        version = PersonaVersion(number=1, **SHIPPED[slug])

        version.full_clean(exclude=["persona"])


class TestMaking:
    def test_answers_with_the_persona(self, as_alice: APIClient):
        response = as_alice.post(PERSONAS, PIRATE | {"temperature": 1.5}, format="json")

        assert response.status_code == 201
        persona = response.json()
        assert persona.pop("id")
        assert persona.pop("created")
        assert persona == PIRATE | {
            "description": "",
            "avatar": "",
            "provider": None,
            "model": "",
            "temperature": 1.5,
            "max_tokens": None,
            "relevance": "",
            "scopes": ["internal"],
            "starters": [],
            "is_shared": False,
            "is_active": True,
            "is_own": True,
            "version": 1,
        }

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"slug": "No Slug"}, "slug"),
            ({"name": ""}, "name"),
            ({"temperature": 2.1}, "temperature"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"relevance": "sloppy"}, "relevance"),
            ({"scopes": ["proxy"]}, "scopes"),
            ({"scopes": []}, "scopes"),
            ({"avatar": "https://evil.example/a.png"}, "avatar"),
            ({"starters": ["?"] * 7}, "starters"),
            ({"provider": "nobody"}, "provider"),
            ({"system_prompt": "x" * 20_001}, "system_prompt"),
            ({"promt": "x"}, "non_field_errors"),
        ],
    )
    def test_bad_input_is_named(self, as_alice: APIClient, wrong: dict[str, Any], named: str):
        response = as_alice.post(PERSONAS, PIRATE | wrong, format="json")

        assert response.status_code == 400
        assert response.json()["error"] == "invalid_request_error"
        assert named in response.json()["details"]

    def test_a_slug_of_ones_own_is_taken_once(self, as_alice: APIClient, pirate: dict[str, Any]):
        response = as_alice.post(PERSONAS, PIRATE, format="json")

        assert response.status_code == 409
        assert Persona.objects.filter(slug="pirate").count() == 1

    def test_a_provider_needs_the_name_of_a_model(self, as_alice: APIClient, alice: User):
        provider_of(alice)

        response = as_alice.post(PERSONAS, PIRATE | {"provider": "mine"}, format="json")

        assert response.status_code == 400
        assert "model" in response.json()["details"]

    def test_a_key_without_the_scope_may_not(self, alice: User):
        _, text = ApiKey.make(alice, name="proxy only", scopes=["proxy"])
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")

        assert client.post(PERSONAS, PIRATE, format="json").status_code == 403
        assert client.get(PERSONAS).status_code == 403


class TestSharing:
    def test_is_for_staff(self, as_alice: APIClient):
        response = as_alice.post(PERSONAS, PIRATE | {"is_shared": True}, format="json")

        assert response.status_code == 403
        assert not Persona.objects.filter(slug="pirate").exists()

    def test_shows_everybody_all_but_the_instructions(
        self, as_staff: APIClient, as_alice: APIClient
    ):
        as_staff.post(PERSONAS, PIRATE | {"is_shared": True}, format="json")

        persona = as_alice.get(f"{PERSONAS}/pirate").json()

        assert persona["name"] == "Pirate"
        assert persona["system_prompt"] == ""
        assert persona["is_own"] is False

    def test_wants_a_shared_provider(self, as_staff: APIClient):
        provider_of(User.objects.get(username="staff"))
        body = PIRATE | {"is_shared": True, "provider": "mine", "model": "gpt-5"}

        response = as_staff.post(PERSONAS, body, format="json")

        assert response.status_code == 400
        assert "provider" in response.json()["details"]

    def test_ones_own_persona_goes_before_a_shared_one(self, as_alice: APIClient, alice: User):
        as_alice.post(PERSONAS, PIRATE | {"slug": "maya"}, format="json")

        persona = Persona.objects.resolve(alice, "maya")

        assert persona is not None
        assert persona.owner == alice


class TestChanging:
    def test_makes_a_version_and_keeps_the_old_one(
        self, as_alice: APIClient, pirate: dict[str, Any]
    ):
        response = as_alice.patch(f"{PERSONAS}/pirate", {"name": "Captain"}, format="json")

        assert response.status_code == 200
        assert response.json()["version"] == 2
        assert response.json()["system_prompt"] == PIRATE["system_prompt"]
        versions = as_alice.get(f"{PERSONAS}/pirate/versions").json()
        assert [(version["number"], version["name"]) for version in versions] == [
            (2, "Captain"),
            (1, "Pirate"),
        ]

    def test_without_a_difference_makes_none(self, as_alice: APIClient, pirate: dict[str, Any]):
        response = as_alice.patch(f"{PERSONAS}/pirate", {"name": "Pirate"}, format="json")

        assert response.json()["version"] == 1

    def test_switching_it_off_makes_no_version(self, as_alice: APIClient, pirate: dict[str, Any]):
        response = as_alice.patch(f"{PERSONAS}/pirate", {"is_active": False}, format="json")

        assert (response.json()["is_active"], response.json()["version"]) == (False, 1)

    def test_does_not_change_a_running_chat(
        self, as_alice: APIClient, alice: User, pirate: dict[str, Any]
    ):
        version = Persona.objects.get(slug="pirate").current
        chat = Chat.objects.create(owner=alice, persona_version=version)

        as_alice.patch(f"{PERSONAS}/pirate", {"system_prompt": "Whisper."}, format="json")

        chat.refresh_from_db()
        assert chat.persona_version == version
        assert chat.persona_version.system_prompt == PIRATE["system_prompt"]

    def test_of_a_shared_one_is_for_staff(self, as_alice: APIClient, as_staff: APIClient):
        change = {"description": "Another."}

        assert as_alice.patch(f"{PERSONAS}/maya", change, format="json").status_code == 403
        assert as_staff.patch(f"{PERSONAS}/maya", change, format="json").status_code == 200

    def test_a_strangers_is_not_found_as_if_it_were_not_there(
        self, as_bob: APIClient, pirate: dict[str, Any]
    ):
        of_alice = as_bob.patch(f"{PERSONAS}/pirate", {"name": "Mine"}, format="json")
        of_nobody = as_bob.patch(f"{PERSONAS}/nobody", {"name": "Mine"}, format="json")

        assert of_alice.status_code == of_nobody.status_code == 404
        assert of_alice.content == of_nobody.content


class TestDeleting:
    def test_leaves_its_chats_with_what_answered_them(
        self, as_alice: APIClient, alice: User, pirate: dict[str, Any]
    ):
        version = Persona.objects.get(slug="pirate").current
        chat = Chat.objects.create(owner=alice, persona_version=version)

        assert as_alice.delete(f"{PERSONAS}/pirate").status_code == 204

        assert as_alice.get(f"{PERSONAS}/pirate").status_code == 404
        chat.refresh_from_db()
        assert chat.persona_version == version

    def test_frees_its_slug(self, as_alice: APIClient, pirate: dict[str, Any]):
        as_alice.delete(f"{PERSONAS}/pirate")

        assert as_alice.post(PERSONAS, PIRATE, format="json").status_code == 201

    def test_a_strangers_is_not_found(self, as_bob: APIClient, pirate: dict[str, Any]):
        assert as_bob.delete(f"{PERSONAS}/pirate").status_code == 404
        assert Persona.objects.filter(slug="pirate", retired_at=None).exists()


def test_the_list_takes_the_same_queries_however_long_it_is(
    as_alice: APIClient, alice: User, django_assert_num_queries: Any
):
    for number in range(30):
        Persona(owner=alice, slug=f"p{number}").save()
        Persona.objects.get(slug=f"p{number}").revise(name=f"P{number}", scopes=["internal"])
    as_alice.get(PERSONAS)

    with django_assert_num_queries(1):
        personas = as_alice.get(PERSONAS).json()

    assert len(personas) == 30 + len(SHIPPED)
