"""What a model is to answer, and the request for it in the dialect of its provider."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy import wire
from proxy.common import vault
from proxy.filtering.result import FilterOptions
from proxy.models import Provider
from proxy.providers.cache import StoredProvider
from proxy.upstream import builtin
from proxy.wire import openai
from proxy.wire.dialect import Dialect, Prompt, Route


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
    return wire.named(request.provider.dialect) if request.provider else openai


def encode(request: CompletionRequest) -> tuple[bytes, Route]:
    """Return the body of a request, in the dialect of the provider, and where it goes."""
    provider = request.provider
    prompt = Prompt(
        request.model if provider else builtin.MODEL,
        request.system,
        request.messages,
        provider.base.host if provider else "",
        request.temperature,
        request.max_tokens,
    )
    return dialect_of(request).prompted(prompt)
