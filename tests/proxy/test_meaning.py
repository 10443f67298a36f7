"""What texts mean, on the proxy's path: learned off it, kept for all, and never in the way."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from django.conf import LazySettings
from django.core.management import call_command

from alchemyst.accounts.models import User
from chats import retention
from proxy.meaning import encoder, learner, store
from proxy.meaning.encoder import Encoder
from proxy.models import TextVector
from proxy.models.text_vector import digest_of
from tests.chats.conftest import talk
from tests.conftest import Server
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion, said

PUPPY = said(
    "Which spaniel is good with children?",
    "The English cocker, a gentle and patient dog that barks little and loves to play. " * 6,
    "What is the capital of France?",
    "Paris, on the Seine, has been the seat of kings, emperors and presidents. " * 6,
    "Which film by Tarkovsky should I watch first?",
    "Stalker, where three men walk through a forbidden zone toward a room of wishes. " * 6,
    "What does the tax office want from me?",
    "A declaration of income by April, with the receipts of whatever is deductible. " * 6,
    "How much exercise does a puppy need?",
)
SPANIEL, FRANCE = PUPPY[0], PUPPY[2]

Sent = Callable[..., list[dict[str, str]]]


class Counting:
    """The real encoder, which notes what it was asked, and may have to wait."""

    def __init__(self, minilm: Encoder) -> None:
        self.texts: list[str] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._minilm = minilm

    def vector(self, text: str) -> bytes:
        self.texts.append(text)
        assert self.may_go_on.wait(30)
        return self._minilm.vector(text)


class Broken:
    def vector(self, text: str) -> bytes:
        raise RuntimeError("no such operator")


@pytest.fixture
def used(minilm: Encoder, settings: LazySettings) -> Iterator[Counting]:
    """The encoder is on, and has as long as this machine takes, whatever else it does."""
    settings.PROXY_ENCODER = "minilm"
    settings.PROXY_ENCODER_TOKENS = 300
    settings.PROXY_ENCODER_SECONDS = 20
    counting = Counting(minilm)
    encoder.use(counting)
    store.forget()
    yield counting
    counting.may_go_on.set()
    encoder.use(None)
    store.forget()


@pytest.fixture
def learned(the_server: Server) -> Callable[[], None]:
    """Waits until the server has learned and written down all that waits."""

    async def rested() -> None:
        if task := learner._learners.get()._task:
            await asyncio.wait([task])
        await store.queue.close()

    return lambda: asyncio.run_coroutine_threadsafe(rested(), the_server.loop).result(60)


@pytest.fixture
def sent(
    http: requests.Session, through: Callable[..., str], provider: FakeProvider, learned
) -> Sent:
    """Asks the provider, and returns the messages that it got."""

    def ask(messages: list[dict[str, str]] = PUPPY, **headers: str) -> list[dict[str, str]]:
        response = http.post(
            f"{through()}/chat/completions", json=completion(messages), headers=headers
        )
        assert response.status_code == 200, response.text
        learned()
        messages_sent: list[dict[str, str]] = provider.last().json["messages"]
        return messages_sent

    return ask


class TestARequest:
    def test_keeps_what_shares_no_word_with_its_question(self, used: Counting, sent: Sent):
        messages = sent()

        assert SPANIEL in messages
        assert FRANCE not in messages

    def test_goes_by_words_alone_where_the_encoder_is_off(
        self, used: Counting, settings: LazySettings, sent: Sent
    ):
        settings.PROXY_ENCODER = "off"

        assert SPANIEL not in sent()
        assert used.texts == []

    def test_that_is_small_never_touches_it(self, used: Counting, sent: Sent):
        sent(HISTORY)

        assert used.texts == []
        assert not TextVector.objects.exists()

    def test_does_not_wait_for_it_longer_than_the_operator_says(
        self, used: Counting, settings: LazySettings, sent: Sent, http, through, provider
    ):
        settings.PROXY_ENCODER_SECONDS = 0.03
        used.may_go_on.clear()

        response = http.post(f"{through()}/chat/completions", json=completion(PUPPY))

        assert response.status_code == 200
        assert SPANIEL not in provider.last().json["messages"]

    def test_has_the_next_one_know_what_it_did_not_wait_for(
        self, used: Counting, settings: LazySettings, sent: Sent
    ):
        settings.PROXY_ENCODER_SECONDS = 0.0
        first = sent()
        settings.PROXY_ENCODER_SECONDS = 20

        assert SPANIEL not in first
        assert SPANIEL in sent()

    def test_goes_by_words_alone_where_the_encoder_fails(self, used: Counting, sent: Sent):
        encoder.use(Broken())

        assert SPANIEL not in sent()

    def test_is_encoded_once(self, used: Counting, sent: Sent):
        sent()
        sent()
        sent([*PUPPY, *said("An hour a day.", "And how much does it eat?")[:1], PUPPY[-1]])

        assert len(used.texts) == len(set(used.texts))

    def test_has_its_answer_known_before_the_next_turn(
        self, alice: User, used: Counting, sent: Sent, provider: FakeProvider, http, through
    ):
        sent()

        answer = http.post(f"{through()}/chat/completions", json=completion(PUPPY)).json()

        text = answer["choices"][0]["message"]["content"]
        assert TextVector.objects.by_digest([digest_of(alice.pk, text)])

    def test_has_no_more_read_of_a_long_question_than_there_is_time_for(
        self, used: Counting, sent: Sent
    ):
        long = f"How much exercise does a puppy need? {'And so on. ' * 500} A puppy of ten weeks."

        sent([*PUPPY[:-1], {"role": "user", "content": long}])

        (question,) = [text for text in used.texts if "ten weeks" in text]
        assert question.startswith("How much exercise")
        assert len(question) < 700

    def test_leaves_system_messages_unread(self, used: Counting, sent: Sent):
        sent([{"role": "system", "content": "You are a vet."}, *PUPPY])

        assert "You are a vet." not in used.texts


class TestWhatTextsWereComparedBy:
    @pytest.fixture
    def meaning(self, http: requests.Session, server: str) -> Callable[..., str | None]:
        """Asks for a preview, and returns by what it compared."""

        def ask(messages: list[dict[str, str]] = PUPPY, **headers: str) -> str | None:
            named = {f"X-Alchemyst-{name.title()}": value for name, value in headers.items()}
            url = f"{server}/api/v1/proxy/preview"
            answer = http.post(url, json=completion(messages), headers=named).json()
            meaning: str | None = answer["meaning"]
            return meaning

        return ask

    def test_is_vectors_where_all_are_known(self, used: Counting, meaning):
        assert meaning() == "vectors"

    def test_is_words_where_the_encoder_is_off(
        self, used: Counting, settings: LazySettings, meaning
    ):
        settings.PROXY_ENCODER = "off"

        assert meaning() == "words"

    def test_is_words_where_the_encoder_fails(self, used: Counting, meaning):
        encoder.use(Broken())

        assert meaning() == "words"

    def test_is_told_of_what_the_cost_gate_decided_too(self, used: Counting, meaning):
        assert meaning(cost="balanced") == "vectors"

    @pytest.mark.parametrize(
        ("messages", "headers"), [(PUPPY, {"relevance": "off"}), (PUPPY[-1:], {})]
    )
    def test_is_nothing_where_none_were_compared(
        self, used: Counting, meaning, messages: list[dict[str, str]], headers: dict[str, str]
    ):
        assert meaning(messages, **headers) is None


def test_who_tries_the_filter_out_sees_the_same_and_nothing_is_kept(
    db: None, used: Counting, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "puppy.json"
    path.write_text(json.dumps(completion(PUPPY)))

    call_command("filter", str(path), "--json")

    decided = json.loads(capsys.readouterr().out)["messages"]
    assert [each["fate"] for each in decided[:4]] == ["kept", "kept", "dropped", "dropped"]
    assert not TextVector.objects.exists()


async def test_owners_take_turns_with_what_is_learned(used: Counting, settings: LazySettings):
    settings.PROXY_VECTOR_DAYS = 0
    long, short = ({f"{who}{n}".encode(): f"{who} {n}" for n in range(40)} for who in "ab")

    learner.learn(1, long)
    learner.learn(2, dict(list(short.items())[:1]))
    await asyncio.wait([learner._learners.get()._task])

    assert used.texts.index("b 0") < 10
    assert len(used.texts) == 41


class TestVectors:
    def test_are_known_to_processes_that_did_not_make_them(self, used: Counting, sent: Sent):
        sent()
        store.forget()

        assert SPANIEL in sent()
        assert len(used.texts) == len(set(used.texts))

    def test_are_not_made_again_where_the_database_was_too_slow_for_a_request(
        self, used: Counting, settings: LazySettings, sent: Sent
    ):
        sent()
        store.forget()
        settings.PROXY_ENCODER_SECONDS = 0.0
        slow = sent()
        settings.PROXY_ENCODER_SECONDS = 20

        assert SPANIEL not in slow
        assert SPANIEL in sent()
        assert len(used.texts) == len(set(used.texts))

    def test_are_in_memory_alone_where_none_are_kept(
        self, used: Counting, settings: LazySettings, sent: Sent
    ):
        settings.PROXY_VECTOR_DAYS = 0

        assert SPANIEL in sent()
        assert not TextVector.objects.exists()

    def test_tell_nothing_of_a_text_to_who_has_the_rows(
        self, alice: User, bob: User, used: Counting, sent: Sent, settings: LazySettings
    ):
        sent()
        kept = {bytes(row.digest): bytes(row.sealed) for row in TextVector.objects.all()}

        text = SPANIEL["content"]
        mine = digest_of(alice.pk, text)
        assert used.vector(text) not in kept.values()
        assert digest_of(bob.pk, text) not in kept
        settings.SECRET_KEY = "another installation's"
        assert digest_of(alice.pk, text) not in kept
        assert TextVector.objects.by_digest([mine]) == {}

    def test_go_with_their_owner(self, alice: User, used: Counting, sent: Sent):
        sent()

        alice.delete()

        assert not TextVector.objects.exists()

    def test_go_with_the_chat_that_they_came_from(self, alice: User):
        chat = talk(alice, "Which spaniel?", "The cocker.")
        texts = ["Which spaniel?", "The cocker.", "Of another chat"]
        TextVector.objects.keep((digest_of(alice.pk, text), alice.pk, b"v") for text in texts)

        retention.purge(chat)

        (left,) = TextVector.objects.all()
        assert bytes(left.digest) == digest_of(alice.pk, "Of another chat")

    def test_go_when_nobody_used_them_for_so_many_days(self, alice: User, settings: LazySettings):
        settings.PROXY_VECTOR_DAYS = 7
        texts = ["old", "new"]
        TextVector.objects.keep((digest_of(alice.pk, text), alice.pk, b"v") for text in texts)
        old = datetime.now(UTC).date() - timedelta(days=8)
        TextVector.objects.filter(digest=digest_of(alice.pk, "old")).update(used=old)

        call_command("expire_vectors")

        (left,) = TextVector.objects.all()
        assert bytes(left.digest) == digest_of(alice.pk, "new")

    def test_stay_longer_when_they_are_used(self, used: Counting, sent: Sent):
        sent()
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        TextVector.objects.update(used=yesterday)
        store.forget()

        sent()

        assert not TextVector.objects.filter(used=yesterday).exists()
