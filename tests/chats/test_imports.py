"""Files of chats from elsewhere: read as far as they can be, once, with a report of the rest."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from alchemyst.accounts.models import User
from alchemyst.celery import in_process_runner
from chats.imports import run
from chats.models import Chat, Generation, ImportJob
from chats.tasks import clean_up, import_chats, resume_imports
from proxy.common.runtime import threads
from tests.chats.conftest import TEA, talk, texts

IMPORT = "/api/v1/chat/import"

pytestmark = pytest.mark.django_db

CHATGPT = {
    "title": "Green tea",
    "create_time": 1_700_000_000.5,
    "update_time": 1_700_000_900.0,
    "conversation_id": "gpt-1",
    "is_archived": False,
    "current_node": "a2",
    "mapping": {
        "root": {"id": "root", "message": None, "parent": None, "children": ["sys"]},
        "sys": {
            "id": "sys",
            "parent": "root",
            "message": {
                "author": {"role": "system"},
                "content": {"content_type": "text", "parts": [""]},
                "metadata": {"is_visually_hidden_from_conversation": True},
            },
        },
        "q1": {
            "id": "q1",
            "parent": "sys",
            "children": ["a1", "a2"],
            "message": {
                "author": {"role": "user"},
                "create_time": 1_700_000_001.0,
                "content": {
                    "content_type": "multimodal_text",
                    "parts": [{"asset_pointer": "file-service://1"}, "Which tea?"],
                },
            },
        },
        "a1": {
            "id": "a1",
            "parent": "q1",
            "message": {
                "author": {"role": "assistant"},
                "content": {"content_type": "text", "parts": ["Black."]},
            },
        },
        "tool": {
            "id": "tool",
            "parent": "q1",
            "message": {
                "author": {"role": "tool", "name": "browser"},
                "content": {"content_type": "text", "parts": ["results"]},
            },
        },
        "a2": {
            "id": "a2",
            "parent": "tool",
            "message": {
                "author": {"role": "assistant"},
                "create_time": 1_700_000_009.0,
                "content": {"content_type": "text", "parts": ["Green."]},
                "metadata": {"model_slug": "gpt-4o"},
            },
        },
    },
}

OPEN_WEBUI = {
    "id": "owui-1",
    "title": "Green tea",
    "pinned": True,
    "archived": False,
    "created_at": 1_700_000_000,
    "updated_at": 1_700_000_900,
    "chat": {
        "title": "Green tea",
        "models": ["llama3"],
        "history": {
            "currentId": "a2",
            "messages": {
                "q1": {
                    "id": "q1",
                    "parentId": None,
                    "childrenIds": ["a1", "a2"],
                    "role": "user",
                    "content": "Which tea?",
                    "timestamp": 1_700_000_001,
                },
                "a1": {"id": "a1", "parentId": "q1", "role": "assistant", "content": "Black."},
                "a2": {
                    "id": "a2",
                    "parentId": "q1",
                    "role": "assistant",
                    "content": "Green.",
                    "model": "llama3",
                    "timestamp": 1_700_000_009,
                },
            },
        },
    },
}

LIBRECHAT = {
    "conversationId": "lc-1",
    "endpoint": "openAI",
    "title": "Green tea",
    "branches": True,
    "recursive": True,
    "options": {},
    "messages": [
        {
            "messageId": "q1",
            "parentMessageId": "00000000-0000-0000-0000-000000000000",
            "isCreatedByUser": True,
            "sender": "User",
            "text": "Which tea?",
            "createdAt": "2023-11-14T22:13:21.000Z",
            "children": [
                {
                    "messageId": "a1",
                    "parentMessageId": "q1",
                    "isCreatedByUser": False,
                    "text": "Black.",
                },
                {
                    "messageId": "a2",
                    "parentMessageId": "q1",
                    "isCreatedByUser": False,
                    "content": [{"type": "text", "text": {"value": "Green."}}],
                    "model": "gpt-4o",
                    "createdAt": "2023-11-14T22:13:29.000Z",
                },
            ],
        }
    ],
}

KINDS = {"ChatGPT": CHATGPT, "Open WebUI": OPEN_WEBUI, "LibreChat": LIBRECHAT}


@pytest.fixture
def imported(as_alice: APIClient) -> Callable[..., dict[str, Any]]:
    """Send a file and have it imported; returns the report."""

    def send(file: Any, *, client: APIClient = as_alice) -> dict[str, Any]:
        body = file if isinstance(file, bytes) else json.dumps(file).encode()
        answer = client.post(IMPORT, body, content_type="application/octet-stream")
        assert answer.status_code == 202, answer.json()
        assert answer.json()["state"] == "queued"
        # Nothing is committed in these tests, so nothing began by itself.
        import_chats(answer.json()["id"])
        report: dict[str, Any] = client.get(f"{IMPORT}/{answer.json()['id']}").json()
        return report

    return send


def zipped(**files: Any) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            name = name.replace("__", "/").replace("_json", ".json")
            archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return made.getvalue()


class TestAFileOf:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_kind_comes_with_its_tree_times_and_model(self, imported, alice: User, kind: str):
        report = imported([KINDS[kind]])

        assert (report["state"], report["format"], report["imported"]) == ("complete", kind, 1)
        chat = Chat.objects.of(alice).get()
        assert texts(chat) == ["Which tea?", "Green."]
        question, answer = chat.messages_on()
        assert answer.model in ("gpt-4o", "llama3")
        assert question.created == datetime(2023, 11, 14, 22, 13, 21, tzinfo=UTC)
        assert [each.content for each in answer.alternatives()] == ["Black.", "Green."]
        assert (chat.title, chat.has_own_title, chat.source) == ("Green tea", True, kind)

    @pytest.mark.parametrize("kind", KINDS)
    def test_each_kind_comes_once(self, imported, alice: User, kind: str):
        imported([KINDS[kind]])

        report = imported([KINDS[kind]])

        assert (report["imported"], report["skipped"]) == (0, 1)
        assert report["skips"] == [{"title": "Green tea", "reason": "It was imported before."}]
        assert Chat.objects.of(alice).count() == 1

    def test_chatgpt_tells_of_what_is_left_out(self, imported):
        report = imported([CHATGPT])

        reasons = {skip["reason"] for skip in report["skips"]}
        assert reasons == {
            "Left out of it: 1 messages of tools.",
            "Left out of it: 1 images, audio or files.",
        }
        assert report["skipped"] == 0

    def test_chatgpt_may_be_a_zip_with_other_things_in_it(self, imported, alice: User):
        file = zipped(
            user_json={"id": "user-1", "email": "alice@example.com"},
            message_feedback_json=[],
            export__conversations_json=[CHATGPT],
            chat="<html>",
        )

        report = imported(file)

        assert report["imported"] == 1
        assert report["skipped"] == 0

    def test_chatgpt_may_be_many_numbered_files(self, imported, alice: User):
        second = CHATGPT | {"conversation_id": "gpt-2", "title": "Second"}
        file = zipped(**{"conversations-000_json": [CHATGPT], "conversations-001_json": [second]})

        report = imported(file)

        assert (report["imported"], report["total"]) == (2, 2)

    def test_open_webui_comes_without_its_wrapper_too(self, imported, alice: User):
        report = imported([OPEN_WEBUI["chat"]])

        assert report["format"] == "Open WebUI"
        assert texts(Chat.objects.of(alice).get()) == ["Which tea?", "Green."]

    def test_librechat_comes_flat_too(self, imported, alice: User):
        (question,) = LIBRECHAT["messages"]
        flat = [question | {"children": []}, *question["children"]]

        imported(LIBRECHAT | {"messages": flat, "recursive": False})

        assert texts(Chat.objects.of(alice).get()) == ["Which tea?", "Green."]

    def test_openai_messages_comes_a_line_each(self, imported, alice: User):
        lines = "\n".join(
            json.dumps({"messages": [{"role": "user", "content": text}]}) for text in TEA
        )

        report = imported(lines.encode())

        assert report["imported"] == 4
        assert imported(lines.encode())["skipped"] == 4


class TestAFileThatIsNotAllSound:
    def test_gives_what_there_is_and_says_what_there_is_not(self, imported, alice: User):
        file = [
            {"id": "g-p-1", "name": "a folder without any mapping"},
            "text",
            None,
            CHATGPT,
            {"title": "Empty", "mapping": {}},
            {"title": "Odd", "mapping": {"a": None, "b": 3, "c": {"message": "x", "parent": {}}}},
            OPEN_WEBUI,
        ]

        report = imported(file)

        assert (report["total"], report["imported"], report["skipped"]) == (7, 2, 5)
        assert report["state"] == "complete"
        assert Chat.objects.of(alice).count() == 2

    def test_keeps_messages_whose_parent_is_missing(self, imported, alice: User):
        mapping = {name: CHATGPT["mapping"][name] for name in ("q1", "a2")}

        imported([CHATGPT | {"mapping": mapping}])

        chat = Chat.objects.of(alice).get()
        assert sorted(chat.messages.values_list("content", flat=True)) == ["Green.", "Which tea?"]

    def test_survives_messages_in_a_circle(self, imported, alice: User):
        mapping = {
            "a": CHATGPT["mapping"]["q1"] | {"parent": "b"},
            "b": CHATGPT["mapping"]["a1"] | {"parent": "a"},
            "c": {"parent": "d", "message": None},
            "d": {"parent": "c", "message": None},
            "e": CHATGPT["mapping"]["q1"] | {"parent": "c"},
        }

        report = imported([CHATGPT | {"mapping": mapping, "current_node": "a"}])

        assert report["imported"] == 1
        assert texts(Chat.objects.of(alice).get()) == ["Which tea?"]

    @pytest.mark.parametrize(
        ("create_time", "title", "text"),
        [
            ("yesterday", None, "plain"),
            (10**300, 7, "NUL \0 in it"),
            (-5, "x" * 5000, "half a \ud800 pair"),
            ([], "new\nline", "x" * 300_000),
            (4_000_000_000, "\ud800\0", "from the future"),
        ],
    )
    def test_takes_odd_times_titles_and_texts(
        self, imported, alice: User, create_time: Any, title: Any, text: str
    ):
        node = {
            "message": {
                "author": {"role": "user"},
                "create_time": create_time,
                "content": {"parts": [text]},
            }
        }

        report = imported([{"title": title, "create_time": create_time, "mapping": {"only": node}}])

        assert report["imported"] == 1, report
        chat = Chat.objects.of(alice).get()
        assert len(texts(chat)[0]) >= 5
        assert chat.created <= timezone.now()

    @pytest.mark.parametrize(
        ("file", "said"),
        [
            (b"plain text", "neither JSON"),
            (b"\xff\xfe\x00", "neither JSON"),
            (b"[" * 100_000, "nested too deeply"),
            (b'[{"mapping": ', "neither JSON"),
            (b"[]", "no conversations"),
            (b"PK\x03\x04 no zip at all", "zip can't be read"),
            (zipped(readme="x"), "no JSON in it"),
            (b'{"format": "alchemyst-chats", "version": 9, "chats": []}', "newer version"),
        ],
    )
    def test_at_all_fails_with_a_reason(self, imported, file: bytes, said: str):
        report = imported(file)

        assert report["state"] == "failed"
        assert said in report["error"]
        assert not ImportJob.objects.get().parts.exists()

    def test_of_too_many_messages_is_skipped(self, imported, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(run, "MOST_MESSAGES", 3)

        report = imported([CHATGPT, OPEN_WEBUI])

        assert (report["imported"], report["skipped"]) == (1, 1)
        assert "more than 3 messages" in report["skips"][0]["reason"]

    def test_that_unpacks_to_more_than_is_allowed_is_refused(
        self, imported, settings: LazySettings
    ):
        settings.CHAT_IMPORT_MAX_BODY = 100_000
        bomb = zipped(conversations_json="[" + " " * 1_000_000 + "]")
        assert len(bomb) < 10_000

        report = imported(bomb)

        assert report["state"] == "failed"
        assert "unpacks to more" in report["error"]


class TestSending:
    def test_a_file_in_a_form_works_too(self, as_alice: APIClient):
        file = io.BytesIO(json.dumps([CHATGPT]).encode())
        file.name = "conversations.json"

        answer = as_alice.post(IMPORT, {"file": file}, format="multipart")

        assert answer.status_code == 202
        assert answer.json()["size"] > 100

    def test_a_form_without_a_file_is_refused(self, as_alice: APIClient):
        assert as_alice.post(IMPORT, {"x": "y"}, format="multipart").status_code == 400

    def test_nothing_is_refused(self, as_alice: APIClient):
        answer = as_alice.post(IMPORT, b"", content_type="application/json")

        assert answer.status_code == 400
        assert not ImportJob.objects.exists()

    def test_too_much_is_refused(self, as_alice: APIClient, settings: LazySettings):
        settings.CHAT_IMPORT_MAX_BODY = 10_000

        answer = as_alice.post(IMPORT, b"x" * 10_001, content_type="application/json")

        assert answer.status_code == 400
        assert not ImportJob.objects.exists()

    def test_a_second_file_waits_for_the_first(self, as_alice: APIClient):
        as_alice.post(IMPORT, b"[]", content_type="application/json")

        answer = as_alice.post(IMPORT, b"[]", content_type="application/json")

        assert answer.status_code == 409
        assert answer.json()["error"] == "conflict_error"

    def test_shows_imports_to_who_sent_them_alone(self, imported, as_bob: APIClient):
        report = imported([CHATGPT])

        assert as_bob.get(IMPORT).json() == []
        assert as_bob.get(f"{IMPORT}/{report['id']}").status_code == 404


def many(count: int) -> list[dict[str, Any]]:
    return [CHATGPT | {"conversation_id": str(n), "title": str(n)} for n in range(count)]


def at_conversation(monkeypatch: pytest.MonkeyPatch, title: str, act: Callable[[], object]) -> None:
    """Have something done while the conversation of that title is being imported."""
    monkeypatch.undo()
    keep = run.Import.keep

    def keep_and_act(self: run.Import, conversation: Any) -> None:
        keep(self, conversation)
        if conversation.title == title:
            act()

    monkeypatch.setattr(run.Import, "keep", keep_and_act)


class TestStopping:
    @pytest.fixture
    def job(self, alice: User) -> ImportJob:
        return ImportJob.begin(alice.pk, [json.dumps(many(6)).encode()])

    @pytest.fixture
    def report(self, as_alice: APIClient, job: ImportJob) -> Callable[[], dict[str, Any]]:
        return lambda: as_alice.get(f"{IMPORT}/{job.pk}").json()

    @pytest.fixture
    def run_and_stop(
        self, as_alice: APIClient, job: ImportJob, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., None]:
        """Run the import, and have Alice stop it while the fourth conversation is read."""

        def stop(body: dict[str, Any]) -> None:
            url = f"{IMPORT}/{job.pk}/stop"
            read = run.Import.read

            def read_and_stop(self: run.Import, raw: bytes) -> Any:
                if self.job.processed == 4:
                    assert as_alice.post(url, body, format="json").status_code == 202
                return read(self, raw)

            monkeypatch.setattr(run.Import, "read", read_and_stop)
            run.run(job.pk)
            monkeypatch.setattr(run.Import, "read", read)

        return stop

    @pytest.mark.parametrize("body", [{}, {"keep": True}])
    def test_ends_it_and_keeps_what_was_imported(
        self, run_and_stop, report, alice: User, body: dict[str, Any]
    ):
        run_and_stop(body)

        assert (report()["state"], report()["stop"], report()["imported"]) == ("stopped", "keep", 3)
        assert report()["finishedAt"]
        assert sorted(Chat.objects.of(alice).values_list("title", flat=True)) == ["0", "1", "2"]

    def test_deletes_what_was_imported_if_asked_to(self, run_and_stop, report, alice: User):
        run_and_stop({"keep": False})

        assert (report()["state"], report()["imported"], report()["messages"]) == ("stopped", 0, 0)
        assert not Chat.objects.filter(owner=alice).exists()

    def test_leaves_what_an_earlier_import_brought(
        self, imported, alice: User, as_alice: APIClient, monkeypatch: pytest.MonkeyPatch
    ):
        imported([OPEN_WEBUI])
        job = ImportJob.begin(alice.pk, [json.dumps(many(3)).encode()])
        job.chats.create(owner=alice, title="half")
        as_alice.post(f"{IMPORT}/{job.pk}/stop", {"keep": False}, format="json")

        run.run(job.pk)

        assert [chat.title for chat in Chat.objects.of(alice)] == ["Green tea"]

    def test_never_deletes_a_chat_that_went_on(
        self, job: ImportJob, as_alice: APIClient, report, alice: User
    ):
        chat = job.chats.create(owner=alice, title="went on")
        answer = chat.append("assistant", "Oolong.")
        Generation.objects.create(
            owner=alice, chat=chat, message=answer, lease_until=timezone.now(), state="complete"
        )
        as_alice.post(f"{IMPORT}/{job.pk}/stop", {"keep": False}, format="json")

        run.run(job.pk)

        assert (report()["state"], report()["imported"], report()["messages"]) == ("stopped", 1, 1)
        assert Chat.objects.of(alice).get().title == "went on"

    def test_lets_the_next_import_begin_and_find_the_rest(self, run_and_stop, imported):
        run_and_stop({})

        report = imported(many(6))

        assert (report["imported"], report["skipped"]) == (3, 3)

    def test_before_it_began_imports_nothing(self, job: ImportJob, as_alice: APIClient, report):
        as_alice.post(f"{IMPORT}/{job.pk}/stop")

        run.run(job.pk)

        assert (report()["state"], report()["imported"]) == ("stopped", 0)

    def test_outlives_the_process_that_worked_on_it(
        self, job: ImportJob, as_alice: APIClient, report, alice: User
    ):
        ImportJob.objects.update(state="running", lease_until=timezone.now(), attempts=3)
        job.chats.create(owner=alice, title="half")
        as_alice.post(f"{IMPORT}/{job.pk}/stop", {"keep": False}, format="json")

        run.run(job.pk)

        assert (report()["state"], report()["imported"]) == ("stopped", 0)

    def test_of_an_ended_import_is_a_conflict(self, imported, as_alice: APIClient):
        job_id = imported([CHATGPT])["id"]

        answer = as_alice.post(f"{IMPORT}/{job_id}/stop", {"keep": False}, format="json")

        assert answer.status_code == 409
        assert Chat.objects.count() == 1

    def test_of_a_strangers_import_is_not_found(self, job: ImportJob, as_bob: APIClient):
        assert as_bob.post(f"{IMPORT}/{job.pk}/stop").status_code == 404
        job.refresh_from_db()
        assert job.stop == ""

    def test_takes_no_unknown_word(self, job: ImportJob, as_alice: APIClient):
        answer = as_alice.post(f"{IMPORT}/{job.pk}/stop", {"delete": True}, format="json")

        assert answer.status_code == 400

    def test_by_the_end_of_an_account_leaves_nothing(
        self, job: ImportJob, alice: User, monkeypatch: pytest.MonkeyPatch
    ):
        read = run.Import.read

        def read_of_nobody(self: run.Import, raw: bytes) -> Any:
            if self.job.processed == 3:
                User.objects.filter(pk=alice.pk).delete()
            return read(self, raw)

        monkeypatch.setattr(run.Import, "read", read_of_nobody)
        run.run(job.pk)

        assert not ImportJob.objects.exists()
        assert not Chat.objects.exists()


class TestThePage:
    @pytest.fixture
    def job(self, alice: User) -> ImportJob:
        return ImportJob.begin(alice.pk, [json.dumps(many(3)).encode()])

    def test_shows_how_far_an_import_is(self, alices: Client, job: ImportJob):
        run.run(job.pk)

        page = alices.get("/imports").content.decode()

        assert "3 of 3 chats imported, 0 left out" in page
        assert "/stop" not in page

    @pytest.mark.parametrize(("form", "stop"), [({}, "keep"), ({"delete": "1"}, "delete")])
    def test_stops_one(self, alices: Client, job: ImportJob, form: dict[str, str], stop: str):
        assert f"/imports/{job.pk}/stop" in alices.get("/imports").content.decode()

        answer = alices.post(f"/imports/{job.pk}/stop", form, follow=True)

        job.refresh_from_db()
        assert job.stop == stop
        assert "The import is being stopped." in answer.content.decode()

    def test_is_anybody_elses_not(self, bobs: Client, job: ImportJob):
        assert bobs.post(f"/imports/{job.pk}/stop").status_code == 404
        assert str(job.pk) not in bobs.get("/imports").content.decode()


class TestTheWork:
    def test_goes_on_where_it_was_cut_off(
        self, as_alice: APIClient, alice: User, monkeypatch: pytest.MonkeyPatch
    ):
        files = [CHATGPT | {"conversation_id": str(n), "title": str(n)} for n in range(5)]
        job = ImportJob.begin(alice.pk, [json.dumps(files).encode()])
        keep = run.Import.keep

        def dies(self: run.Import, conversation: Any) -> None:
            if conversation.title == "3":
                raise KeyboardInterrupt
            keep(self, conversation)

        monkeypatch.setattr(run.Import, "keep", dies)
        with pytest.raises(KeyboardInterrupt):
            run.run(job.pk)
        monkeypatch.setattr(run.Import, "keep", keep)
        run.run(job.pk)  # somebody else's, as far as one can see
        assert Chat.objects.of(alice).count() == 3

        ImportJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        run.run(job.pk)

        job.refresh_from_db()
        assert (job.state, job.imported, job.skipped) == ("complete", 5, 0)
        assert Chat.objects.of(alice).count() == 5

    def test_is_done_once_however_often_it_is_asked_for(self, alice: User):
        job = ImportJob.begin(alice.pk, [json.dumps([CHATGPT]).encode()])

        for _ in range(3):
            run.run(job.pk)

        job.refresh_from_db()
        assert job.imported == 1

    def test_is_left_to_another_process_when_this_one_ends(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ):
        job = ImportJob.begin(alice.pk, [json.dumps(many(5)).encode()])
        at_conversation(monkeypatch, "3", threads.ENDING.set)
        run.run(job.pk)
        threads.ENDING.clear()
        job.refresh_from_db()
        assert (job.state, job.imported) == ("queued", 4)

        run.run(job.pk)

        job.refresh_from_db()
        assert (job.state, job.imported, job.skipped) == ("complete", 5, 0)

    def test_that_gets_on_is_not_given_up(self, alice: User, monkeypatch: pytest.MonkeyPatch):
        job = ImportJob.begin(alice.pk, [json.dumps(many(9)).encode()])
        for number in range(1, 9):
            at_conversation(monkeypatch, str(number), threads.ENDING.set)
            run.run(job.pk)
            threads.ENDING.clear()

        run.run(job.pk)

        job.refresh_from_db()
        assert (job.state, job.imported) == ("complete", 9)

    def test_that_ends_its_process_each_time_is_given_up(self, alice: User):
        job = ImportJob.begin(alice.pk, [b"[]"])
        ImportJob.objects.update(attempts=3)

        run.run(job.pk)

        job.refresh_from_db()
        assert job.state == "failed"
        assert "3 attempts" in job.error

    @pytest.mark.django_db(transaction=True)
    def test_begins_by_itself_and_is_resumed_by_itself(
        self, as_alice: APIClient, alice: User, settings: LazySettings
    ):
        settings.REDIS_URL = ""
        answer = as_alice.post(
            IMPORT, json.dumps([CHATGPT]).encode(), content_type="application/json"
        )
        assert in_process_runner.settle(20)
        assert as_alice.get(f"{IMPORT}/{answer.json()['id']}").json()["state"] == "complete"

        job = ImportJob.begin(alice.pk, [json.dumps([OPEN_WEBUI]).encode()])
        ImportJob.objects.filter(pk=job.pk).update(lease_until=timezone.now())
        resume_imports()
        assert in_process_runner.settle(20)
        assert Chat.objects.of(alice).count() == 2

    def test_is_forgotten_after_thirty_days(self, imported):
        imported([CHATGPT])
        ImportJob.objects.update(finished=timezone.now() - timedelta(days=31))

        clean_up()

        assert not ImportJob.objects.exists()
        assert Chat.objects.exists()

    def test_of_a_chat_in_the_trash_says_so(self, imported, alice: User):
        imported([CHATGPT])
        Chat.objects.of(alice).move_to_trash()

        report = imported([CHATGPT])

        assert "in the trash" in report["skips"][0]["reason"]

    def test_leaves_a_stranger_s_chats_of_the_same_file_alone(
        self, imported, as_bob: APIClient, alice: User, bob: User
    ):
        imported([CHATGPT])

        report = imported([CHATGPT], client=as_bob)

        assert report["imported"] == 1
        assert Chat.objects.of(bob).count() == Chat.objects.of(alice).count() == 1

    def test_of_a_chat_that_is_here_already_is_skipped(self, imported, alice: User):
        chat = talk(alice, *TEA)

        report = imported([{"id": str(chat.pk), "messages": [{"role": "user", "content": "x"}]}])

        assert report["imported"] == 0


@pytest.mark.django_db(transaction=True)
def test_a_file_may_be_larger_than_other_bodies(server: str, http: requests.Session):
    large = b'[{"mapping": "' + b"x" * 3_000_000 + b'"}]'

    refused = http.post(f"{server}/api/v1/chat/new", large, timeout=30)
    taken = http.post(f"{server}{IMPORT}", large, timeout=30)

    assert refused.status_code == 413
    assert refused.json()["message"] == "The body is too large."
    assert taken.status_code == 202
    assert in_process_runner.settle(20)
