"""The anthropic package through the proxy, as it is used by itself and below others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import anthropic
import pytest

from tests.anthropic import CALLS, KEY, MODEL, base_of
from tests.fakes import ANSWER, FakeProvider
from tests.proxy.conftest import HISTORY

Client = Callable[..., anthropic.Anthropic]
QUESTION = HISTORY[-1:]
WEATHER = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def client(server: str, provider: FakeProvider, token: str) -> Iterator[Client]:
    """Makes the package's client: our token as its key, the provider's in a header."""
    made: list[anthropic.Anthropic] = []

    def client(
        behaviour: str = "anthropic", *, key: str = token, upstream: str = KEY
    ) -> anthropic.Anthropic:
        made.append(
            anthropic.Anthropic(
                base_url=base_of(server, provider, behaviour),
                api_key=key,
                default_headers={"X-Upstream-Api-Key": upstream},
                max_retries=0,
            )
        )
        return made[-1]

    yield client
    for each in made:
        each.close()


def ask(client: anthropic.Anthropic, messages: list = QUESTION, **more) -> anthropic.types.Message:
    return client.messages.create(model=MODEL, max_tokens=9, messages=messages, **more)


class TestTheAnthropicPackage:
    def test_gets_a_whole_answer(self, client: Client, provider: FakeProvider):
        answer = ask(client())

        assert answer.content[0].text == ANSWER
        assert answer.usage.cache_read_input_tokens == 16
        sent = {name.lower(): value for name, value in provider.last().headers.items()}
        assert sent["x-api-key"] == KEY
        assert "authorization" not in sent
        assert "anthropic-version" in sent

    def test_gets_a_stream_with_its_thoughts(self, client: Client):
        with client().messages.stream(model=MODEL, max_tokens=9, messages=QUESTION) as stream:
            words = "".join(stream.text_stream)
            answer = stream.get_final_message()

        thought, text = answer.content
        assert words == text.text == ANSWER
        assert (thought.thinking, thought.signature) == ("Bread.", "c2ln")
        assert answer.stop_reason == "end_turn"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 4)

    async def test_works_asynchronously(self, server: str, provider: FakeProvider, token: str):
        async with anthropic.AsyncAnthropic(
            base_url=base_of(server, provider),
            api_key=token,
            default_headers={"X-Upstream-Api-Key": KEY},
        ) as client:
            answer = await client.messages.create(model=MODEL, max_tokens=9, messages=QUESTION)

        assert answer.content[0].text == ANSWER

    def test_has_its_history_filtered(self, client: Client, provider: FakeProvider):
        answer = client().messages.with_raw_response.create(
            model=MODEL, max_tokens=9, messages=HISTORY
        )

        assert "result=filtered" in answer.headers["x-alchemyst-context"]
        assert provider.last().json["messages"] == HISTORY[:2] + HISTORY[4:]

    def test_calls_tools_in_parallel_and_gives_their_results(
        self, client: Client, provider: FakeProvider
    ):
        first = ask(client(), [*HISTORY[:4], *QUESTION], tools=[WEATHER])
        calls = [block for block in first.content if block.type == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls
        ]
        loop = [
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": results},
        ]

        answer = ask(client(), [*HISTORY[:4], *QUESTION, *loop], tools=[WEATHER])

        assert [(call.id, call.input) for call in calls] == [
            (call["id"], call["input"]) for call in CALLS
        ]
        assert answer.content[0].text == ANSWER
        *_, called, answered = provider.last().json["messages"]
        assert [block["id"] for block in called["content"]] == ["toolu_0", "toolu_1"]
        assert answered["content"] == results

    def test_counts_all_that_it_sends(self, client: Client, provider: FakeProvider):
        count = client().messages.count_tokens(model=MODEL, messages=HISTORY)

        assert count.input_tokens == 7
        assert provider.last().json["messages"] == HISTORY

    def test_lists_models(self, client: Client):
        assert [model.id for model in client().models.list()] == [MODEL]

    def test_makes_and_finds_batches(self, client: Client, provider: FakeProvider):
        params = {"model": MODEL, "max_tokens": 9, "messages": HISTORY}

        client().messages.batches.create(requests=[{"custom_id": "a", "params": params}])
        assert provider.last().json["requests"][0]["params"]["messages"] == HISTORY
        found = client().messages.batches.retrieve("msgbatch_1")

        assert found.id == "msgbatch_1"
        assert provider.last().path == "/anthropic/v1/messages/batches/msgbatch_1"

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, anthropic.BadRequestError),
            (429, anthropic.RateLimitError),
            (529, anthropic.InternalServerError),
        ],
    )
    def test_raises_the_providers_own_error(
        self, client: Client, status: int, kind: type[anthropic.APIStatusError]
    ):
        with pytest.raises(kind) as raised:
            ask(client(f"anthropic-fail/{status}"))

        assert raised.value.status_code == status
        assert raised.value.body["error"]["message"] == f"messages.0: failed, {status}"

    def test_understands_our_own_error(self, client: Client):
        with pytest.raises(anthropic.AuthenticationError) as raised:
            ask(client(key="nonsense"))

        assert raised.value.body["error"]["type"] == "authentication_error"

    @pytest.mark.parametrize("how", ["anthropic-cut/by-reset", "anthropic-cut/cleanly"])
    def test_sees_a_stream_that_breaks(self, client: Client, how: str):
        words = []

        with (
            pytest.raises(anthropic.APIStatusError) as raised,
            client(how).messages.stream(model=MODEL, max_tokens=9, messages=QUESTION) as stream,
        ):
            words += list(stream.text_stream)

        assert "broke off" in str(raised.value)

    def test_by_leaving_a_stream_closes_the_provider(self, client: Client, provider: FakeProvider):
        stream = ask(client("slow"), stream=True)
        next(iter(stream.response.iter_raw()))

        stream.close()

        assert provider.last().is_closed.wait(2)
