"""What an answer rests on: given texts, the caller's earlier chats, how it is to be spoken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from django.conf import LazySettings

from alchemyst.accounts.models import User
from chats.answers import context_texts
from chats.answers.research import PLANNING
from chats.answers.speech import SpeechFilter
from chats.models import Chat, Generation
from personas.models import Persona
from proxy.meaning import encoder
from proxy.meaning.minilm import MiniLM
from proxy.models import UsageRecord
from proxy.upstream import builtin
from tests.chats.answers import Api, asking, persona, questions
from tests.chats.conftest import talk
from tests.conftest import Server
from tests.fakes import FakeProvider, Received, chunk, stream
from tests.relevance.unlike_words import PAIRS

BREAD = "Sourdough bread rises for twelve hours in a cool kitchen."
PARIS = "Paris is the capital of France and lies on the Seine."
TAX = {"content": "Income tax is due in April.", "metadata": {"source": "tax.txt"}}


def system_of(received: Received) -> str:
    return received.json["messages"][0]["content"]


def steps(found: list[Any], step: str) -> list[str]:
    return [e.data["content"] for e in found if e.data and e.data.get("step") == step]


class TestFastContext:
    def test_gives_the_model_the_texts_that_matter_and_names_them(
        self, api: Api, maya: Persona, provider: FakeProvider
    ):
        texts = [PARIS, {"title": "Baking", "content": BREAD}, TAX]

        found = api.streamed(asking("How long does sourdough bread rise?", fastContext=texts))

        system = system_of(questions(provider)[-1])
        assert system.startswith("You bake.")
        assert f"[1] Baking\n{BREAD}" in system
        metadata = found[-2].data["content"]
        assert [source["title"] for source in metadata["sources"]][:1] == ["Baking"]
        assert len(metadata["context"]["given"]) == 3
        assert steps(found, "context")

    def test_fits_however_much_is_given(self, api: Api, maya: Persona, provider: FakeProvider):
        filling = [f"Note {n}: " + "nothing of any interest happened. " * 200 for n in range(150)]

        answer = api.generate(asking("How long does bread rise?", fastContext=[*filling, BREAD]))

        system = system_of(questions(provider)[-1])
        assert BREAD in system
        assert len(system) < 40_000
        assert sum(s["tokens"] for s in answer.json()["metadata"]["sources"]) <= 6000

    def test_is_used_for_answers_that_are_not_kept_too(
        self, api: Api, maya: Persona, provider: FakeProvider
    ):
        answer = api.post("", asking("How long does bread rise?", fastContext=[BREAD]))

        assert answer.json()["metadata"]["sources"][0]["used"] is True
        assert BREAD in system_of(questions(provider)[-1])


class TestFastContextByMeaning:
    @pytest.fixture(autouse=True)
    def used(self, minilm: MiniLM, settings: LazySettings) -> Iterator[None]:
        settings.PROXY_ENCODER = "minilm"
        encoder.use(minilm)
        yield
        encoder.use(None)

    @pytest.mark.parametrize("place", [0, 7, 11])
    def test_rests_on_the_text_that_answers_in_other_words(
        self,
        api: Api,
        maya: Persona,
        provider: FakeProvider,
        place: int,
        monkeypatch: pytest.MonkeyPatch,
    ):
        # However busy this machine is.
        monkeypatch.setattr(context_texts, "ENCODER_SECONDS", 20)
        question = PAIRS[place][0]
        texts = [{"title": str(n), "content": passage} for n, (_, passage) in enumerate(PAIRS[:12])]

        found = api.streamed(asking(question, fastContext=texts))

        given = found[-2].data["content"]["context"]["given"]
        assert max(given, key=lambda source: source["score"])["title"] == str(place)
        assert PAIRS[place][1] in system_of(questions(provider)[-1])


class TestResearch:
    @pytest.fixture
    def planning(self, alice: User, provider: FakeProvider) -> Persona:
        """A persona whose model can plan."""

        async def plan(request: web.Request, received: Received) -> web.StreamResponse:
            said = "It rises for twelve hours [1]."
            if PLANNING[:30] in received.body.decode():
                said = "1. sourdough rise\n- kitchen temperature\n"
            return await stream(request, [chunk({"content": said}), chunk({}, "stop")])

        provider.behaviours["plans"] = plan
        return persona(alice, provider, "plans")

    def test_plans_searches_and_names_what_it_found(
        self, api: Api, planning: Persona, alice: User, bob: User, provider: FakeProvider
    ):
        earlier = talk(alice, "How do I bake?", BREAD, title="Baking")
        talk(bob, "Mine?", "Sourdough is Bob's secret.", title="Bob's")
        deleted = talk(alice, "Gone?", "Sourdough in the bin.", title="Gone")
        Chat.objects.filter(pk=deleted.pk).move_to_trash()

        body = asking("How long does sourdough rise?", tools={"research": True})
        found = api.streamed(body)

        told = steps(found, "research")
        assert told[0] == (
            "Plan: look for “How long does sourdough rise?”, “sourdough rise”, "
            "“kitchen temperature”."
        )
        assert len(told) == 5
        (source,) = found[-2].data["content"]["sources"]
        assert source["chatId"] == str(earlier.pk)
        assert source["kind"] == "chat"
        system = system_of(questions(provider)[-1])
        assert BREAD in system
        assert "Bob" not in system
        assert "bin" not in system

    def test_says_so_in_a_whole_answer(self, api: Api, planning: Persona):
        answer = api.generate(asking("How long?", tools={"research": True}, fastContext=[BREAD]))

        assert answer.json()["researchMode"] is True
        assert answer.json()["metadata"]["sources"][0]["kind"] == "context"

    def test_goes_on_without_a_plan(self, api: Api, alice: User, provider: FakeProvider):
        async def cannot_plan(request: web.Request, received: Received) -> web.StreamResponse:
            if PLANNING[:30] in received.body.decode():
                return web.json_response({"error": {"message": "No"}}, status=401)
            return await stream(request, [chunk({"content": "Twelve."}), chunk({}, "stop")])

        provider.behaviours["cannot-plan"] = cannot_plan
        persona(alice, provider, "cannot-plan")

        answer = api.generate(asking("How long?", tools={"research": True}))

        assert answer.json()["result"]["message"] == "Twelve."


class TestVoice:
    def test_tells_the_model_and_takes_out_what_cannot_be_said(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        async def marked(request: web.Request, received: Received) -> web.StreamResponse:
            text = "# Bread\n\n- **Twelve** hours, see [here](https://x.example/a).\n"
            pieces = [chunk({"content": letter}) for letter in text]
            return await stream(request, [*pieces, chunk({}, "stop")])

        provider.behaviours["marked"] = marked
        persona(alice, provider, "marked")

        found = api.streamed(asking(voice=True))

        assert found[-3].data["content"] == "Bread\n\nTwelve hours, see here.\n"
        sent = questions(provider)[-1].json
        assert "read aloud" in sent["messages"][0]["content"]
        assert sent["max_tokens"] <= 160

    @pytest.mark.parametrize(
        ("marked", "plain"),
        [
            ("Twelve hours.", "Twelve hours."),
            ("**Bold** and *slanted* and `code`.", "Bold and slanted and code."),
            ("## One\n> two\n- three\n1. four", "One\ntwo\nthree\n1. four"),
            ("3 - 2 = 1, and C# too.", "3 - 2 = 1, and C# too."),
            ("See https://a.example/b?c=d now.", "See a link now."),
            ("An [open end", "An [open end"),
            ("", ""),
        ],
    )
    def test_is_the_same_wherever_the_text_is_cut(self, marked: str, plain: str):
        for size in (1, 2, 3, 7, 1000):
            spoken = SpeechFilter()
            pieces = [marked[n : n + size] for n in range(0, len(marked), size)]

            said = "".join(spoken.plain(piece) for piece in pieces) + spoken.flush()

            assert said == plain


class TestTitles:
    @pytest.fixture
    def naming(self, alice: User, provider: FakeProvider) -> Persona:
        async def name(request: web.Request, received: Received) -> web.StreamResponse:
            said = "Twelve hours."
            if "Write a title" in received.body.decode():
                said = 'Title: "Rising **bread**."'
            return await stream(request, [chunk({"content": said}), chunk({}, "stop")])

        provider.behaviours["names"] = name
        return persona(alice, provider, "names")

    def title_of(self, api: Api, chat_id: str, expected: str) -> str:
        """The chat's title, once it is the expected one, or after a while."""
        for _ in range(100):
            title = api.http.get(f"{api.url}/fetch/{chat_id}").json()["title"]
            if title == expected:
                break
        return title

    def test_begin_as_the_first_words_and_are_made_once_by_the_model(
        self, api: Api, naming: Persona, provider: FakeProvider
    ):
        answer = api.generate(asking("How long does sourdough rise?\nPlease say.")).json()

        assert answer["title"] == "How long does sourdough rise?"
        made = "Rising **bread"
        assert self.title_of(api, answer["chatId"], made) == made
        api.generate(asking("And rye?"), params={"chatId": answer["chatId"]})
        named = [each for each in provider.received if b"Write a title" in each.body]
        assert len(named) == 1
        assert json.loads(named[0].body)["max_tokens"] < 100

    def test_are_the_built_in_models_where_it_answers(
        self,
        api: Api,
        naming: Persona,
        provider: FakeProvider,
        the_server: Server,
        settings: LazySettings,
    ):
        settings.C1_BASE_URL = f"{provider.url}/names/v1"
        naming.revise(provider=None, model="")

        chat_id = api.generate().json()["chatId"]

        self.title_of(api, chat_id, "Rising **bread")
        the_server.write_usage()
        rows = UsageRecord.objects.values_list("endpoint", "model")
        assert sorted(rows) == [("chat", builtin.MODEL), ("title", builtin.MODEL)]

    def test_of_a_persons_own_stay(self, api: Api, naming: Persona, provider: FakeProvider):
        answer = api.generate(params={"title": "My bread"}).json()

        assert answer["title"] == "My bread"
        assert Chat.objects.get().has_own_title
        assert not [each for each in provider.received if b"Write a title" in each.body]

    def test_stay_the_first_words_where_the_model_fails(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        persona(alice, provider, "fail/401")

        details = api.generate().json()["details"]

        assert Chat.objects.get(pk=details["chatId"]).title == "How long does sourdough rise?"

    def test_are_cut_at_a_word(self, api: Api, maya: Persona):
        answer = api.generate(asking("bread " * 50)).json()

        assert answer["title"].endswith("bread…")
        assert len(answer["title"]) <= 61


def test_the_account_of_an_answer_is_kept(api: Api, maya: Persona):
    answer = api.generate(asking(fastContext=[BREAD])).json()

    context = Generation.objects.get().context
    assert context["given"] == answer["metadata"]["context"]["given"]
    assert context["messages"][0]["id"] == answer["questionId"]
