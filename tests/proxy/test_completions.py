"""Chat completions through the proxy, as the openai package and plain HTTP see them."""

from __future__ import annotations

import json
from collections.abc import Callable

import openai
import pytest
import requests

from tests import nginx
from tests.fakes import ANSWER, FakeProvider
from tests.fakes import completion as the_answer
from tests.proxy.conftest import HISTORY, KEY, completion

Through = Callable[..., str]
Sdk = Callable[..., openai.OpenAI]
QUESTION = HISTORY[-1:]


class TestTheOpenAIPackage:
    def test_gets_a_whole_answer(self, sdk: Sdk, through: Through):
        answer = sdk(through()).chat.completions.create(**completion(QUESTION))

        assert answer.choices[0].message.content == ANSWER
        assert answer.usage is not None
        assert answer.usage.total_tokens == 25

    def test_gets_a_stream_with_its_usage(self, sdk: Sdk, through: Through):
        stream = sdk(through()).chat.completions.create(
            **completion(QUESTION), stream=True, stream_options={"include_usage": True}
        )

        chunks = list(stream)

        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == ANSWER
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 4

    async def test_works_asynchronously(
        self, async_sdk: Callable[..., openai.AsyncOpenAI], through: Through
    ):
        client = async_sdk(through())

        answer = await client.chat.completions.create(**completion(QUESTION))
        stream = await client.chat.completions.create(**completion(QUESTION), stream=True)
        pieces = [c.choices[0].delta.content or "" async for c in stream if c.choices]

        assert answer.choices[0].message.content == ANSWER
        assert "".join(pieces) == ANSWER

    def test_sees_what_was_done_in_the_raw_headers(self, sdk: Sdk, through: Through):
        raw = sdk(through()).chat.completions.with_raw_response.create(**completion())

        told = dict(p.split("=") for p in raw.headers["x-alchemyst-context"].split("; "))
        assert told["mode"] == "strict"
        assert (told["kept"], told["dropped"]) == ("5", "2")
        assert int(told["tokens-after"]) < int(told["tokens-before"])
        assert 0 < float(told["confidence"]) <= 1
        assert raw.headers["x-alchemyst-request-id"].startswith("req_")
        assert "filter;dur=" in raw.headers["server-timing"]

    def test_lists_the_providers_models(self, sdk: Sdk, through: Through):
        assert [model.id for model in sdk(through()).models.list()] == ["gpt-test"]

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, openai.BadRequestError),
            (401, openai.AuthenticationError),
            (403, openai.PermissionDeniedError),
            (404, openai.NotFoundError),
            (409, openai.ConflictError),
            (422, openai.UnprocessableEntityError),
            (500, openai.InternalServerError),
            (503, openai.InternalServerError),
        ],
    )
    def test_raises_the_providers_own_error(
        self, sdk: Sdk, through: Through, status: int, kind: type[openai.APIStatusError]
    ):
        with pytest.raises(kind) as raised:
            sdk(through(f"fail/{status}")).chat.completions.create(**completion(QUESTION))

        assert raised.value.status_code == status
        assert f"Failed with {status}" in raised.value.message

    def test_obeys_the_providers_retry_after(
        self, sdk: Sdk, through: Through, monkeypatch: pytest.MonkeyPatch
    ):
        waits: list[float] = []
        monkeypatch.setattr("openai._base_client.time.sleep", waits.append)

        with pytest.raises(openai.RateLimitError) as raised:
            sdk(through("limited"), max_retries=1).chat.completions.create(**completion(QUESTION))

        assert waits == [7.0]
        assert raised.value.response.headers["x-ratelimit-remaining-requests"] == "0"

    def test_gets_an_error_it_understands_for_a_bad_token(self, through: Through):
        with (
            openai.OpenAI(base_url=through(), api_key="nonsense", max_retries=0) as client,
            pytest.raises(openai.AuthenticationError) as raised,
        ):
            client.chat.completions.create(**completion(QUESTION))

        assert raised.value.code == "invalid_token"
        assert raised.value.type == "authentication_error"


class TestWhatGoesUp:
    def test_is_the_body_byte_for_byte_when_nothing_was_dropped(
        self, http: requests.Session, through: Through, provider: FakeProvider
    ):
        body = (
            b'{"seed":  12345678901234567890123, "temperature": 0.70, "model":"gpt-test",'
            b'"messages":[{"role":"user","content":"Caf\\u00e9?"}] , "unknown": [1.0, null]}'
        )

        http.post(f"{through()}/chat/completions", data=body)

        assert provider.last().body == body

    def test_keeps_every_other_field_and_message_byte_for_byte_when_something_was(
        self, http: requests.Session, through: Through, provider: FakeProvider
    ):
        kept = [
            b'{"role": "user",  "content": "How do I bake sourdough bread?", "x": 1.50}',
            b'{"content":"Mix flour and sourdough starter, bake the bread.","role":"assistant"}',
        ]
        gone = json.dumps(HISTORY[2:4])[1:-1].encode()
        rest = [json.dumps(message).encode() for message in HISTORY[4:]]
        messages = b",".join([*kept, gone, *rest])
        body = b'{"seed":12345678901234567890123,"messages":[%b],"model":"m","z":[1.0]}' % messages

        http.post(f"{through()}/chat/completions", data=body)

        sent = provider.last().body
        assert b'"seed":12345678901234567890123' in sent
        assert sent.endswith(b'"model":"m","z":[1.0]}')
        assert all(message in sent for message in [*kept, *rest])
        assert gone not in sent

    def test_is_the_providers_key_and_nothing_of_ours(
        self, http: requests.Session, through: Through, provider: FakeProvider, token: str
    ):
        ours = {
            "Cookie": "sessionid=1",
            "X-Forwarded-For": "10.1.2.3",
            "Forwarded": "for=10.1.2.3",
            "X-Real-IP": "10.1.2.3",
            "X-Alchemyst-Relevance": "lax",
            "Metadata-Flavor": "Google",
            "Accept-Encoding": "gzip",
        }
        theirs = {"OpenAI-Organization": "org-1", "X-Stainless-Lang": "python", "User-Agent": "me"}

        http.post(f"{through()}/chat/completions", json=completion(QUESTION), headers=ours | theirs)

        sent = {name.lower(): value for name, value in provider.last().headers.items()}
        assert sent["authorization"] == f"Bearer {KEY}"
        assert sent["accept-encoding"] == "identity"
        assert not {name.lower() for name in ours if name != "Accept-Encoding"} & sent.keys()
        assert token not in str(sent)
        for name, value in theirs.items():
            assert sent[name.lower()] == value

    def test_takes_the_key_from_the_header_as_well(
        self, http: requests.Session, server: str, provider: FakeProvider
    ):
        url = f"{server}/api/v1/proxy/{provider.url}/v1/chat/completions"

        http.post(url, json=completion(QUESTION), headers={"X-Upstream-Api-Key": "sk-header"})

        assert provider.last().path == "/v1/chat/completions"
        assert provider.last().headers["Authorization"] == "Bearer sk-header"
        assert "x-upstream-api-key" not in {name.lower() for name in provider.last().headers}

    @pytest.mark.parametrize(
        "spelling",
        [
            "http://{host}/v1/{key}",
            "http:/{host}/v1/{key}",
            "http%3A%2F%2F{host}%2Fv1/{key}",
            "http:%2F%2F{host}%2Fv1/{key}",
            "http%3A%2F%2F{host}%2Fv1%2F{key}",
            "HTTP://{host}/v1//{key}",
        ],
    )
    def test_reaches_the_target_in_every_spelling(
        self, http: requests.Session, server: str, provider: FakeProvider, spelling: str
    ):
        target = spelling.format(host=provider.url.removeprefix("http://"), key=KEY)

        response = http.post(
            f"{server}/api/v1/proxy/{target}/chat/completions/", json=completion(QUESTION)
        )

        assert response.status_code == 200
        assert provider.last().path == "/v1/chat/completions"
        assert provider.last().headers["Authorization"] == f"Bearer {KEY}"

    @pytest.mark.parametrize("odd", ["a+b%c:d", pytest.param("sk/a", marks=nginx.DECODES_SLASHES)])
    def test_may_be_a_key_with_slashes_and_signs(
        self, http: requests.Session, through: Through, provider: FakeProvider, odd: str
    ):
        url = through(key=odd)
        assert url.endswith(("/a%2Bb%25c%3Ad", "/sk%2Fa"))

        http.post(f"{url}/chat/completions", json=completion(QUESTION))

        assert provider.last().headers["Authorization"] == f"Bearer {odd}"

    def test_comes_through_chunked_and_large(
        self, http: requests.Session, through: Through, provider: FakeProvider
    ):
        image = {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64," + "A" * 3_000_000},
        }
        message = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}
        body = json.dumps(completion([message])).encode()

        response = http.post(
            f"{through()}/chat/completions",
            data=(body[at : at + 65536] for at in range(0, len(body), 65536)),
        )

        assert response.status_code == 200
        assert provider.last().body == body


class TestWhatComesDown:
    def test_is_the_providers_body_and_headers(self, http: requests.Session, through: Through):
        response = http.post(f"{through()}/chat/completions", json=completion(QUESTION))

        assert response.json() == the_answer()
        assert response.headers["x-request-id"] == "up-1"
        assert response.headers["content-type"].startswith("application/json")

    def test_has_no_cookie_and_no_server_of_the_providers(
        self, http: requests.Session, through: Through
    ):
        response = http.post(f"{through()}/chat/completions", json=completion(QUESTION))

        assert "set-cookie" not in response.headers
        assert "aiohttp" not in response.headers.get("server", "").lower()

    def test_comes_piece_by_piece(self, http: requests.Session, through: Through):
        with http.post(
            f"{through('slow')}/chat/completions",
            json=completion(QUESTION, stream=True),
            stream=True,
        ) as response:
            first = next(response.iter_content(None))

        assert first.count(b"data: ") == 1
        assert "x-alchemyst-context" in response.headers

    @pytest.mark.not_behind(*nginx.WAYS, reason="nginx obeys the header and keeps it")
    def test_asks_servers_in_front_to_hold_nothing_back(
        self, http: requests.Session, through: Through
    ):
        response = http.post(f"{through()}/chat/completions", json=completion(QUESTION))

        assert response.headers["x-accel-buffering"] == "no"


class TestTheFilter:
    def test_drops_what_the_question_does_not_need(
        self, http: requests.Session, through: Through, provider: FakeProvider
    ):
        http.post(f"{through()}/chat/completions", json=completion())

        assert provider.last().json["messages"] == HISTORY[:2] + HISTORY[4:]

    def test_is_off_when_asked(
        self, http: requests.Session, through: Through, provider: FakeProvider
    ):
        body = json.dumps(completion(), indent=3).encode()

        response = http.post(
            f"{through()}/chat/completions", data=body, headers={"X-Alchemyst-Relevance": "off"}
        )

        assert provider.last().body == body
        assert "mode=off; result=off" in response.headers["x-alchemyst-context"]

    def test_obeys_the_header_before_the_key_before_the_operator(
        self, http: requests.Session, through: Through, alice, settings
    ):
        def mode(**headers: str) -> str:
            response = http.post(
                f"{through()}/chat/completions", json=completion(QUESTION), headers=headers
            )
            return response.headers["x-alchemyst-context"].split(";")[0]

        settings.PROXY_RELEVANCE = "strict"
        assert mode() == "mode=strict"
        alice.relevance = "lax"
        alice.save()
        assert mode() == "mode=lax"
        assert mode(**{"X-Alchemyst-Relevance": "off"}) == "mode=off"

    def test_keeps_what_is_pinned_and_drops_what_is_excluded(
        self, http: requests.Session, through: Through, provider: FakeProvider
    ):
        http.post(
            f"{through()}/chat/completions",
            json=completion(),
            headers={"X-Alchemyst-Pin": "2", "X-Alchemyst-Exclude": "first"},
        )

        assert provider.last().json["messages"] == HISTORY[2:]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("X-Alchemyst-Relevance", "loose"),
            ("X-Alchemyst-Pin", "1;2"),
            ("X-Alchemyst-Exclude", "x"),
        ],
    )
    def test_refuses_headers_that_it_does_not_know(
        self,
        http: requests.Session,
        through: Through,
        provider: FakeProvider,
        name: str,
        value: str,
    ):
        response = http.post(
            f"{through()}/chat/completions", json=completion(), headers={name: value}
        )

        assert response.status_code == 400
        assert response.json()["error"]["param"] == name
        assert not provider.received

    def test_is_undone_when_the_provider_refuses_its_result(
        self, http: requests.Session, through: Through, provider: FakeProvider
    ):
        response = http.post(f"{through('refuse-filtered')}/chat/completions", json=completion())

        assert response.status_code == 200
        assert [len(each.json["messages"]) for each in provider.received] == [5, 7]
        assert "result=undone; kept=7; dropped=0" in response.headers["x-alchemyst-context"]

    @pytest.mark.parametrize("failure", [RuntimeError, "too slow"])
    def test_lets_the_request_through_whole_when_it_fails(
        self,
        http: requests.Session,
        through: Through,
        provider: FakeProvider,
        monkeypatch: pytest.MonkeyPatch,
        settings,
        failure,
    ):
        if failure == "too slow":
            settings.PROXY_FILTER_SECONDS = 0
        else:
            monkeypatch.setattr("proxy.relevance.filter.indices_to_send", _raising(failure))

        response = http.post(f"{through()}/chat/completions", json=completion())

        assert response.status_code == 200
        assert provider.last().json["messages"] == HISTORY
        result = "too_slow" if failure == "too slow" else "failed"
        assert f"result={result}" in response.headers["x-alchemyst-context"]


def _raising(kind: type[Exception]) -> Callable[..., None]:
    def fail(*args: object) -> None:
        raise kind("a fault in the filter")

    return fail
