"""Tariffs: what a provider asks for a model's tokens, and the table in which they are found."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from .rates import SAFE, Rates

SHIPPED: Final = Path(__file__).parent / "prices.toml"

NANOS: Final = 1000
"""Billionths of a dollar a token, for each dollar a million tokens."""


@dataclass(frozen=True, slots=True)
class Used:
    """The tokens of one call, as the provider counts them."""

    prompt: int
    """All tokens of the prompt, cached and written ones among them."""

    completion: int = 0
    cached: int = 0
    written: int = 0


@dataclass(frozen=True)
class Tariff:
    """The prices of a model, in dollars for a million tokens, and the rules of its cache.

    A host may begin with `*.`; a model's name stands for all that go on with a hyphen, and the
    empty one for every model of the host.
    """

    host: str
    model: str = ""
    input: Decimal | None = None
    cached: Decimal | None = None
    write: Decimal | None = None
    output: Decimal | None = None
    lifetime: float = SAFE.lifetime
    least: int = SAFE.least
    step: int = SAFE.step
    is_whole: bool = False
    since: date = date.min
    source: str = ""
    read: date | None = None
    id: int | None = None
    """The row in which it is kept; None for what is shipped or assumed."""

    @cached_property
    def rates(self) -> Rates:
        """What the cost gate goes by; where prices are not known, the safe default."""
        read, write = SAFE.read, SAFE.write
        if self.input:
            read = float((self.input if self.cached is None else self.cached) / self.input)
            write = float((self.input if self.write is None else self.write) / self.input)
        return Rates(read, write, self.lifetime, self.least, self.step, self.is_whole)

    def cost(self, used: Used) -> int | None:
        """Return the price of a call in billionths of a dollar; None where prices are not known."""
        if self.input is None or self.output is None:
            return None
        fresh = max(used.prompt - used.cached - used.written, 0)
        cached = self.input if self.cached is None else self.cached
        write = self.input if self.write is None else self.write
        total = (
            fresh * self.input
            + used.cached * cached
            + used.written * write
            + used.completion * self.output
        )
        return _whole(total * NANOS)

    def of_input(self, units: float) -> int | None:
        """Return what so many tokens at the normal price of input cost, in billionths."""
        return None if self.input is None else _whole(Decimal(units) * self.input * NANOS)


class Table:
    """Tariffs by host and model; the one named most exactly counts, and of its kind the latest."""

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        """Take tariffs; of those for the same host and model the last one stands."""
        self._hosts: dict[str, dict[str, Tariff]] = {}
        for tariff in tariffs:
            self._hosts.setdefault(tariff.host, {})[tariff.model] = tariff
        self._found: dict[tuple[str, str], Tariff | None] = {}

    def of(self, host: str, model: str) -> Tariff | None:
        """Return the tariff of a model; None for a host that is not in the table."""
        key = (host, model)
        if key not in self._found:
            if len(self._found) > 10_000:
                self._found.clear()
            self._found[key] = self._look_up(host, model)
        return self._found[key]

    def has(self, host: str) -> bool:
        """Tell whether there is a tariff for any model of a host."""
        return self.of(host, "") is not None

    def _look_up(self, host: str, model: str) -> Tariff | None:
        models = self._hosts.get(host)
        parent = host
        while models is None and "." in parent:
            parent = parent.partition(".")[2]
            models = self._hosts.get(f"*.{parent}")
        if models is None:
            return None
        if not model:
            return next(iter(models.values()))
        name = model
        while name and name not in models:
            name = name.rpartition("-")[0]
        return models.get(name)


def shipped(path: Path = SHIPPED) -> list[Tariff]:
    """Return the tariffs that come with this version, for each provider its rules first."""
    tables = tomllib.loads(path.read_text(), parse_float=Decimal)
    return [tariff for provider in tables["provider"] for tariff in _of_provider(provider)]


def _of_provider(provider: dict[str, Any]) -> Iterable[Tariff]:
    common = {name: provider[name] for name in ("host", "lifetime", "least", "step", "since")}
    common["is_whole"] = provider.get("is_whole", False)
    common["read"] = provider["read"]
    yield Tariff(**common, source=provider["rules"])
    source = f"{provider['source']}; {provider['rules']}"
    for price in provider.get("price", ()):
        money = {name: Decimal(price[name]) for name in _MONEY if name in price}
        rules = {name: price[name] for name in ("lifetime", "least", "step") if name in price}
        yield Tariff(**{**common, **rules, **money}, model=price["model"], source=source)


_MONEY: Final = ("input", "cached", "write", "output")


def _whole(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_HALF_UP))
