"""What the tests of cost share: a provider that bills, its price, and a client in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import requests
from django.conf import LazySettings
from django.core.cache import cache

from proxy.accounting import price_table
from proxy.cost.rates import Rates
from proxy.filtering import cache_estimates, conversation_state
from proxy.limits import budgets
from proxy.models import Price, UsageRecord
from tests.conftest import Server

from .billing import BillingProvider

KEY = "sk-provider-1"
RATES = Rates(read=0.1, write=1.25)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No prices, beliefs or conversations of another test; and time for Redis."""
    monkeypatch.setattr(conversation_state, "REDIS_BUDGET", 5.0)
    yield
    price_table.forget()
    cache_estimates.forget()
    cache.clear()


@pytest.fixture
def billing(settings: LazySettings) -> Iterator[BillingProvider]:
    provider = BillingProvider(RATES)
    provider.start()
    settings.PROXY_ALLOWED_TARGETS = [provider.host]
    yield provider
    provider.stop()


@pytest.fixture
def price(billing: BillingProvider, server: str) -> Price:
    """What the provider asks: 5, 0.5, 6.25 and 25 dollars for a million tokens."""
    return Price.objects.create(
        host=billing.host,
        input=Decimal("5.00"),
        cached=Decimal("0.50"),
        write=Decimal("6.25"),
        output=Decimal("25.00"),
        least=RATES.min_prefix,
        step=RATES.step,
        lifetime=RATES.lifetime,
        since=date(2026, 1, 1),
    )


@pytest.fixture
def rows(server: str, the_server: Server) -> Callable[[], list[UsageRecord]]:
    """The usage rows, once those that wait in memory are written."""

    def written() -> list[UsageRecord]:
        the_server.write_usage()
        return list(UsageRecord.objects.order_by("pk"))

    return written


@pytest.fixture
def ask(server: str, token: str, billing: BillingProvider) -> Callable[..., requests.Response]:
    """Sends a conversation through the proxy to the provider."""

    def send(messages: list[dict[str, Any]], *, stream: bool = False, **headers: str):
        url = f"{server}/api/v1/proxy/{billing.url}/v1/chat/completions"
        body = {"model": "gpt-test", "messages": messages}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        sent_headers = {"Authorization": f"Bearer {token}", "X-Upstream-Api-Key": KEY}
        sent_headers |= {f"X-Alchemyst-{name}": value for name, value in headers.items()}
        return requests.post(url, json=body, headers=sent_headers, timeout=20)

    return send


def told(answer: requests.Response) -> dict[str, str]:
    """Return X-Alchemyst-Context as a dictionary."""
    pairs = answer.headers["x-alchemyst-context"].split("; ")
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.fixture(autouse=True)
def no_budgets_remembered() -> Iterator[None]:
    yield
    budgets.forget()
