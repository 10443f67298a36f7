"""Gemini through the proxy, as Google's own package for Python sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.fakes import ANSWER, FakeProvider
from tests.gemini import base_of
from tests.proxy.conftest import HISTORY

KEY = "AIza-provider-1"
MODEL = "gemini-test"
Client = Callable[..., genai.Client]


class Place(BaseModel):
    city: str


@pytest.fixture
def client(server: str, provider: FakeProvider, token: str) -> Iterator[Client]:
    """Makes the package's client, which must be held: it closes when it is forgotten."""
    made: list[genai.Client] = []

    def client(behaviour: str = "gemini", *, bearer: str = token, **options: str) -> genai.Client:
        http_options = types.HttpOptions(
            base_url=base_of(server, provider, behaviour),
            headers={"Authorization": f"Bearer {bearer}"},
            **options,
        )
        made.append(genai.Client(api_key=KEY, http_options=http_options))
        return made[-1]

    yield client
    for each in made:
        each.close()


def contents() -> list[types.Content]:
    roles = {"user": "user", "assistant": "model"}
    return [
        types.Content(role=roles[said["role"]], parts=[types.Part(text=said["content"])])
        for said in HISTORY
    ]


WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            parameters=types.Schema(
                type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}
            ),
        )
    ]
)
BY_HAND = types.GenerateContentConfig(
    tools=[WEATHER],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


class TestGoogleGenai:
    @pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
    def test_gets_a_whole_answer(self, client: Client, provider: FakeProvider, version: str):
        gemini = client(api_version=version)

        answer = gemini.models.generate_content(model=MODEL, contents="How is bread made?")

        assert answer.text == ANSWER
        assert answer.usage_metadata is not None
        assert answer.usage_metadata.total_token_count == 28
        assert provider.last().path == f"/gemini/{version}/models/{MODEL}:generateContent"

    def test_gets_a_stream(self, client: Client, provider: FakeProvider):
        gemini = client()

        chunks = list(gemini.models.generate_content_stream(model=MODEL, contents="Bread?"))

        assert "".join(chunk.text or "" for chunk in chunks).strip() == ANSWER
        assert chunks[-1].candidates[0].content.parts[0].thought_signature == b"signature"
        assert chunks[-1].usage_metadata.cached_content_token_count == 16
        assert provider.last().path.endswith(":streamGenerateContent?alt=sse")

    # The package's own way with its HTTP client.
    @pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
    async def test_works_asynchronously(self, client: Client):
        gemini = client()

        answer = await gemini.aio.models.generate_content(model=MODEL, contents="Bread?")
        stream = await gemini.aio.models.generate_content_stream(model=MODEL, contents="Bread?")
        pieces = [chunk.text or "" async for chunk in stream]
        await gemini.aio.aclose()

        assert answer.text == ANSWER
        assert "".join(pieces).strip() == ANSWER

    def test_has_its_history_filtered(self, client: Client, provider: FakeProvider):
        gemini = client()

        gemini.models.generate_content(model=MODEL, contents=contents())

        texts = [each["parts"][0]["text"] for each in provider.last().json["contents"]]
        assert texts == [said["content"] for said in HISTORY[:2] + HISTORY[4:]]

    def test_chats(self, client: Client, provider: FakeProvider):
        gemini = client()
        chat = gemini.chats.create(model=MODEL)

        chat.send_message("How is bread made?")
        answer = chat.send_message("And cake?")

        assert answer.text == ANSWER
        assert [each["role"] for each in provider.last().json["contents"]] == [
            "user",
            "model",
            "user",
        ]

    def test_calls_functions_in_parallel_and_gives_their_results(
        self, client: Client, provider: FakeProvider
    ):
        gemini = client()
        asked = [*contents()[:4], types.Content(role="user", parts=[types.Part(text="Weather?")])]

        first = gemini.models.generate_content(model=MODEL, contents=asked, config=BY_HAND)
        assert first.function_calls is not None
        results = [
            types.Part.from_function_response(name=call.name, response={"is": "sunny"})
            for call in first.function_calls
        ]
        asked += [first.candidates[0].content, types.Content(role="user", parts=results)]
        second = gemini.models.generate_content(model=MODEL, contents=asked, config=BY_HAND)

        assert [call.args["city"] for call in first.function_calls] == ["Rome", "Oslo"]
        assert second.text == ANSWER
        called, answered = provider.last().json["contents"][-2:]
        assert called["parts"][0]["thoughtSignature"] == "c2ln"
        assert len(called["parts"]) == len(answered["parts"]) == 2

    def test_calls_functions_by_itself(self, client: Client, provider: FakeProvider):
        gemini = client()

        def weather(city: str) -> str:
            """Tell the weather."""
            return f"sunny in {city}"

        answer = gemini.models.generate_content(
            model=MODEL,
            contents="Weather?",
            config=types.GenerateContentConfig(tools=[weather]),
        )

        assert answer.text == ANSWER
        assert len(provider.received) == 2
        assert b"sunny in Oslo" in provider.last().body

    def test_sends_a_picture_and_reads_several_answers_into_a_schema(
        self, client: Client, provider: FakeProvider
    ):
        gemini = client()
        picture = types.Part.from_bytes(data=b"png", mime_type="image/png")
        config = types.GenerateContentConfig(
            candidate_count=2, response_mime_type="application/json", response_schema=Place
        )

        answer = gemini.models.generate_content(
            model=MODEL, contents=["Where is this?", picture], config=config
        )

        assert answer.parsed == Place(city="Paris")
        assert [candidate.index for candidate in answer.candidates] == [0, 1]
        sent = provider.last().json
        assert sent["contents"][0]["parts"][1]["inlineData"]["data"] == "cG5n"
        assert sent["generationConfig"]["responseSchema"]["required"] == ["city"]

    def test_by_leaving_a_stream_closes_the_provider(self, client: Client, provider: FakeProvider):
        gemini = client("slow")

        stream = gemini.models.generate_content_stream(model=MODEL, contents="Hi")
        next(stream)
        stream.close()

        assert provider.last().is_closed.wait(2)

    def test_counts_and_embeds_unfiltered(self, client: Client, provider: FakeProvider):
        gemini = client()

        count = gemini.models.count_tokens(model=MODEL, contents=contents())
        assert len(provider.last().json["contents"]) == len(HISTORY)
        embedded = gemini.models.embed_content(model="embed", contents=["a", "a"])

        assert count.total_tokens == 7
        assert provider.last().path == "/gemini/v1/models/embed:batchEmbedContents"
        assert [each.values for each in embedded.embeddings] == [[0.5, 0.25]] * 2

    def test_lists_and_describes_models(self, client: Client):
        gemini = client()

        assert [model.name for model in gemini.models.list()] == ["models/gemini-test"]
        assert gemini.models.get(model=MODEL).name == "models/gemini-test"

    @pytest.mark.parametrize("model", ["tunedModels/mine-1", "models/gemini-test"])
    def test_names_models_by_their_paths(self, client: Client, provider: FakeProvider, model: str):
        gemini = client()

        gemini.models.generate_content(model=model, contents="Hi")

        assert provider.last().path == f"/gemini/v1/{model}:generateContent"

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(400, errors.ClientError), (429, errors.ClientError), (503, errors.ServerError)],
    )
    def test_raises_the_providers_own_error(
        self, client: Client, status: int, kind: type[errors.APIError]
    ):
        gemini = client(f"gemini-fail/{status}")

        with pytest.raises(kind) as raised:
            gemini.models.generate_content(model=MODEL, contents="Hi")

        assert raised.value.code == status
        assert raised.value.message == f"Failed with {status}"
        assert raised.value.details["error"]["details"][0]["retryDelay"] == "46s"

    def test_understands_our_own_error(self, client: Client):
        gemini = client(bearer="nonsense")

        with pytest.raises(errors.ClientError) as raised:
            gemini.models.generate_content(model=MODEL, contents="Hi")

        assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")
        assert raised.value.message

    def test_sees_a_stream_that_breaks(self, client: Client):
        gemini = client("gemini-cut")

        stream = gemini.models.generate_content_stream(model=MODEL, contents="Hi")

        assert next(stream).text
        with pytest.raises(errors.ServerError) as raised:
            next(stream)
        assert (raised.value.code, raised.value.status) == (502, "UNAVAILABLE")
