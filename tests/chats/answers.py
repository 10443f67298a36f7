"""Asking for answers as clients do: a persona whose model is the tests' provider, streams read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import requests

from alchemyst.accounts.models import User
from chats.answers import titles
from personas.models import Persona
from proxy.models import Provider
from tests.fakes import FakeProvider, Received

KEY = "sk-provider-of-maya-1"
QUESTION = "How long does sourdough rise?"


def persona(owner: User, provider: FakeProvider, behaviour: str = "", **more: Any) -> Persona:
    """A shared persona that answers by the provider, in a behaviour of its."""
    slug = more.pop("slug", "maya")
    where = f"{provider.url}/{behaviour}/v1" if behaviour else f"{provider.url}/v1"
    dialect = more.get("dialect")
    if dialect in ("gemini", "anthropic"):
        where = f"{provider.url}/{behaviour or dialect}"
    stored = Provider(
        owner=owner,
        name=f"{slug}-{behaviour.replace('/', '-') or 'well'}"[:40].rstrip("-"),
        base_url=where,
        dialect=more.pop("dialect", "openai"),
    )
    stored.seal(KEY)
    stored.save()
    made, _ = Persona.objects.get_or_create(slug=slug, is_shared=True, defaults={"owner": owner})
    content = {
        "name": slug.title(),
        "system_prompt": "You bake.",
        "provider": stored,
        "model": "gpt-test",
        "scopes": ["internal", "external"],
    }
    made.revise(**content | more)
    return made


def asking(*texts: str, **more: Any) -> dict[str, Any]:
    """The body of a question after a history of user and assistant in turn."""
    said = [
        {"role": ("user", "assistant")[place % 2], "content": text}
        for place, text in enumerate(texts or (QUESTION,))
    ]
    return {"chat_history": said, **more}


def questions(provider: FakeProvider) -> list[Received]:
    """What the provider was asked, without the titles that are made in the background."""
    mark = titles.TITLE_PROMPT[:40].encode()
    return [each for each in provider.received if mark not in each.body]


class Event(NamedTuple):
    id: int
    data: Any
    """What JSON says; None for [DONE]."""

    @property
    def type(self) -> str:
        if self.data is None:
            return "done"
        return self.data.get("type", "error")


def events(response: requests.Response) -> Iterator[Event]:
    """The events of a stream, as they come."""
    id, data = 0, ""
    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
        if line.startswith("id: "):
            id = int(line[4:])
        elif line.startswith("data: "):
            data = line[6:]
        elif not line and data:
            yield Event(id, None if data == "[DONE]" else json.loads(data))
            data = ""


def text(found: list[Event]) -> str:
    return "".join(each.data["content"] for each in found if each.type == "response_delta")


def types(found: list[Event]) -> list[str]:
    """The kinds of events in their order, each run of one kind once."""
    kinds = [each.type for each in found]
    return [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]


class Api:
    """A client of the chat API."""

    def __init__(self, http: requests.Session, server: str) -> None:
        self.http = http
        self.url = f"{server}/api/v1/chat"

    def post(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self.http.post(f"{self.url}{path}", json=body, timeout=40, **more)

    def generate(self, body: dict[str, Any] | None = None, **more: Any) -> requests.Response:
        return self.post("/generate", body or asking(), **more)

    def stream(self, body: dict[str, Any] | None = None, **more: Any) -> requests.Response:
        more.setdefault("stream", True)
        return self.post("/generate/stream", body or asking(), **more)

    def streamed(self, body: dict[str, Any] | None = None, **more: Any) -> list[Event]:
        with self.stream(body, **more) as response:
            assert response.status_code == 200, response.text
            return list(events(response))

    def replay(self, session: str, after: int | None = None) -> list[Event]:
        headers = {"Last-Event-ID": str(after)} if after is not None else {}
        with self.http.get(
            f"{self.url}/replay/{session}", headers=headers, stream=True, timeout=40
        ) as response:
            assert response.status_code == 200, response.text
            return list(events(response))

    def stop(self, session: str) -> requests.Response:
        return self.post(f"/replay/{session}/stop")
