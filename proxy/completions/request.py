"""What a model is to answer, and the request that says so in the dialect of who is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from proxy.common import vault
from proxy.filtering.result import FilterOptions
from proxy.models import Provider
from proxy.providers.cache import StoredProvider
from proxy.upstream import builtin
from proxy.wire import gemini, openai
from proxy.wire.dialect import Route


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a model is to answer, and on whose account."""

    provider: StoredProvider | None
    """A stored provider; None for the built-in model."""
    model: str
    system: str
    messages: list[tuple[str, str]]
    """Role (`user` or `assistant`) and text of each message; the last is the user's."""
    user_id: int
    request_id: str
    endpoint: str = "chat"
    key_id: str = ""
    persona: str = ""
    """Who answers, for the account of usage."""
    temperature: float | None = None
    max_tokens: int | None = None
    filter_options: FilterOptions = field(default_factory=lambda: FilterOptions("off"))
    cost: str = ""
    """The cost preset that the caller's key or account asks for; empty where neither does."""
    seconds: float = 1800


def provider_from(provider: Provider | None) -> StoredProvider | None:
    """Return a stored provider with its key, for a CompletionRequest; raises KeyUnreadable."""
    if provider is None:
        return None
    return StoredProvider(
        provider.base, provider.dialect, vault.opened(provider.sealed_key), provider.cost
    )


def written(asked: CompletionRequest) -> tuple[bytes, Route]:
    """Return the body of a request, in the dialect of who is asked, and where it goes."""
    if asked.provider and asked.provider.dialect == gemini.NAME:
        endpoint = f"/v1beta/models/{asked.model}:streamGenerateContent"
        route = Route("", f"{endpoint}?alt=sse", "streamGenerateContent", "POST", True, asked.model)
        return msgspec.json.encode(_for_gemini(asked)), route
    route = Route("", f"/{openai.COMPLETIONS}", openai.COMPLETIONS, "POST", True)
    return msgspec.json.encode(_for_openai(asked)), route


def _for_openai(asked: CompletionRequest) -> dict[str, Any]:
    said = [{"role": role, "content": text} for role, text in asked.messages]
    if asked.system:
        said.insert(0, {"role": "system", "content": asked.system})
    body: dict[str, Any] = {
        "model": asked.model if asked.provider else builtin.MODEL,
        "messages": said,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if asked.temperature is not None:
        body["temperature"] = asked.temperature
    if asked.max_tokens:
        # OpenAI's reasoning models refuse the older name, other servers don't know the newer one.
        is_openai = asked.provider and asked.provider.base.host == "api.openai.com"
        body["max_completion_tokens" if is_openai else "max_tokens"] = asked.max_tokens
    return body


def _for_gemini(asked: CompletionRequest) -> dict[str, Any]:
    roles = {"assistant": "model"}
    body: dict[str, Any] = {
        "contents": [
            {"role": roles.get(role, role), "parts": [{"text": text}]}
            for role, text in asked.messages
        ]
    }
    if asked.system:
        body["systemInstruction"] = {"parts": [{"text": asked.system}]}
    chosen = {"temperature": asked.temperature, "maxOutputTokens": asked.max_tokens}
    if config := {name: value for name, value in chosen.items() if value is not None}:
        body["generationConfig"] = config
    return body
