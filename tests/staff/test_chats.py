"""Chats, answers and personas as staff meet them: never a word without a reason."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alchemyst.accounts.models import AuditEntry, User
from chats.models import Chat, Generation
from personas.models import Persona

pytestmark = pytest.mark.django_db

CHATS = "admin:chats_chat_changelist"
SECRET = "my grandmother's sourdough"


@pytest.fixture
def chat(alice: User) -> Chat:
    made = Chat.objects.create(owner=alice, title="Baking", source="slack")
    made.append("user", f"Tell me of {SECRET}.")
    made.append("assistant", "It rises slowly.")
    return made


@pytest.fixture
def generation(chat: Chat, alice: User) -> Generation:
    message = chat.append("assistant", "")
    return Generation.objects.create(
        owner=alice,
        chat=chat,
        message=message,
        state="streaming",
        lease_until=timezone.now() + timezone.timedelta(minutes=1),
    )


class TestChats:
    def test_are_listed_by_their_numbers_without_a_word(
        self, staff, chat, alice: User, django_assert_max_num_queries
    ):
        for number in range(20):
            Chat.objects.create(owner=alice, title=f"Chat {number}")
        client = staff("support")

        with django_assert_max_num_queries(8):
            page = client.get(reverse(CHATS)).content.decode()

        assert "Baking" in page
        assert "alice" in page
        assert "grandmother" not in page

    @pytest.mark.parametrize("query", ["{chat}", "slack", "alice"])
    def test_are_found_by_id_source_or_owner(self, staff, chat, query):
        search = query.format(chat=chat.pk)

        assert str(chat.pk) in staff("support").get(reverse(CHATS), {"q": search}).content.decode()

    def test_show_no_word_on_their_own_page(self, staff, chat):
        url = reverse("admin:chats_chat_change", args=[chat.pk])

        assert "grandmother" not in staff("support").get(url).content.decode()

    def test_are_read_for_a_reason_that_their_owner_sees(self, staff, chat, alice: User):
        client, url = staff("admin"), reverse("admin:chats_chat_read", args=[chat.pk])
        assert "grandmother" not in client.get(url).content.decode()

        page = client.post(url, {"reason": "ticket 12, answer missing"}).content.decode()

        assert "grandmother" in page
        (entry,) = AuditEntry.objects.shown_to(alice.pk)
        assert (entry.action, entry.reason) == ("read the texts of", "ticket 12, answer missing")

    def test_are_taken_along_as_a_file_for_a_reason(self, staff, chat):
        url = reverse("admin:chats_chat_read", args=[chat.pk])

        download = staff("admin").post(url, {"reason": "a court's order", "as_file": "1"})

        assert download["Content-Disposition"].startswith("attachment")
        exported = json.loads(download.content)
        assert [each["role"] for each in exported["messages"]] == ["user", "assistant"]
        assert AuditEntry.objects.get().reason == "a court's order"

    def test_are_not_read_without_the_permission(self, staff, chat):
        url = reverse("admin:chats_chat_read", args=[chat.pk])

        assert staff("support").post(url, {"reason": "curiosity, really"}).status_code == 403
        assert not AuditEntry.objects.exists()

    def test_name_no_title_in_the_audit_log(self, staff, chat):
        client = staff("admin")
        client.post(reverse("admin:chats_chat_read", args=[chat.pk]), {"reason": "long enough"})

        assert AuditEntry.objects.get().thing_name == f"chat {chat.pk}"

    def test_are_given_to_another_user_and_both_see_it(self, staff, chat, alice: User, bob: User):
        url = reverse("admin:chats_chat_transfer", args=[chat.pk])

        staff("admin").post(url, {"username": "BOB", "reason": "alice has left us"})

        chat.refresh_from_db()
        assert chat.owner == bob
        assert AuditEntry.objects.shown_to(alice.pk).count() == 1
        assert AuditEntry.objects.shown_to(bob.pk).count() == 1

    def test_are_deleted_by_who_may(self, staff, chat):
        chosen = {"action": "delete_selected", "_selected_action": [chat.pk], "post": "yes"}

        staff("support").post(reverse(CHATS), chosen)
        assert Chat.objects.count() == 1
        staff("admin").post(reverse(CHATS), chosen)

        assert not Chat.objects.exists()


class TestAnswers:
    def test_are_listed_with_their_state(self, staff, generation):
        page = staff("support").get(reverse("admin:chats_generation_changelist"))

        assert "streaming" in page.content.decode()

    def test_are_stopped(self, staff, generation):
        chosen = {"action": "stop", "_selected_action": [generation.pk]}

        staff("support").post(reverse("admin:chats_generation_changelist"), chosen)

        generation.refresh_from_db()
        assert generation.stop_requested
        assert AuditEntry.objects.get().action == "stopped"

    def test_of_a_user_who_is_blocked_are_stopped(
        self, generation, alice: User, django_capture_on_commit_callbacks
    ):
        with django_capture_on_commit_callbacks(execute=True):
            alice.block()

        generation.refresh_from_db()
        assert generation.stop_requested


class TestPersonas:
    def test_that_staff_change_get_a_version_that_tells_what_changed(self, staff):
        client = staff("admin")
        persona = Persona.objects.create(slug="testy", is_shared=True)
        persona.revise(name="Testy", system_prompt="Be kind.\nBe brief.", scopes=["internal"])
        body = {"slug": "testy", "is_shared": "on", "is_active": "on", "name": "Testy",
                "system_prompt": "Be kind.\nBe exact."}  # fmt: skip

        client.post(reverse("admin:personas_persona_change", args=[persona.pk]), body)

        persona.refresh_from_db()
        assert persona.current.number == 2
        assert persona.current.scopes == ["internal"]
        url = reverse("admin:personas_personaversion_change", args=[persona.current.pk])
        page = client.get(url).content.decode()
        assert "<del>Be brief.</del>" in page
        assert "<ins>Be exact.</ins>" in page

    def test_are_listed_without_a_query_for_each(self, staff, django_assert_max_num_queries):
        client = staff("support")

        with django_assert_max_num_queries(8):
            assert client.get(reverse("admin:personas_persona_changelist")).status_code == 200


class TestShares:
    def test_one_that_support_closes_shows_nothing_any_more(self, staff, chat):
        share = chat.shares.create(owner=chat.owner, messages=[{"role": "user", "content": "Hi"}])
        address = reverse("shared", args=[share.token])
        assert Client().get(address).status_code == 200

        staff("support").post(
            reverse("admin:chats_share_changelist"),
            {"action": "close", "_selected_action": [share.pk]},
        )

        assert Client().get(address).status_code == 404
        assert AuditEntry.objects.filter(action__contains="closed").exists()

    def test_no_page_of_theirs_shows_what_is_said(self, staff, chat):
        share = chat.shares.create(owner=chat.owner, messages=[{"role": "user", "content": SECRET}])
        client = staff("support")

        for page in ("changelist", "change"):
            args = [share.pk] if page == "change" else []
            answer = client.get(reverse(f"admin:chats_share_{page}", args=args))
            assert answer.status_code == 200
            assert SECRET not in answer.content.decode()
            assert share.token not in answer.content.decode()
