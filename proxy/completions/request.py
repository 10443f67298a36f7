"""What a model is to answer, and the request for it in the dialect of its provider."""

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
from proxy.wire.dialect import Dialect, Route


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


def dialect_of(request: CompletionRequest) -> Dialect:
    """Return the dialect of the provider that is asked."""
    is_gemini = request.provider is not None and request.provider.dialect == gemini.NAME
    return gemini if is_gemini else openai


def encode(request: CompletionRequest) -> tuple[bytes, Route]:
    """Return the body of a request, in the dialect of the provider, and where it goes."""
    if dialect_of(request) is gemini:
        endpoint = f"/v1beta/models/{request.model}:streamGenerateContent"
        route = Route(
            "", f"{endpoint}?alt=sse", "streamGenerateContent", "POST", True, request.model
        )
        return msgspec.json.encode(_for_gemini(request)), route
    route = Route("", f"/{openai.COMPLETIONS}", openai.COMPLETIONS, "POST", True)
    return msgspec.json.encode(_for_openai(request)), route


def _for_openai(request: CompletionRequest) -> dict[str, Any]:
    messages = [{"role": role, "content": text} for role, text in request.messages]
    if request.system:
        messages.insert(0, {"role": "system", "content": request.system})
    body: dict[str, Any] = {
        "model": request.model if request.provider else builtin.MODEL,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens:
        # OpenAI's reasoning models refuse the older name, other servers don't know the newer one.
        is_openai = request.provider and request.provider.base.host == "api.openai.com"
        body["max_completion_tokens" if is_openai else "max_tokens"] = request.max_tokens
    return body


def _for_gemini(request: CompletionRequest) -> dict[str, Any]:
    roles = {"assistant": "model"}
    body: dict[str, Any] = {
        "contents": [
            {"role": roles.get(role, role), "parts": [{"text": text}]}
            for role, text in request.messages
        ]
    }
    if request.system:
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    chosen = {"temperature": request.temperature, "maxOutputTokens": request.max_tokens}
    if config := {name: value for name, value in chosen.items() if value is not None}:
        body["generationConfig"] = config
    return body
