"""Tariffs: what a provider asks for a model's tokens, and the table in which they are found."""

from __future__ import annotations

import tomllib
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

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
    """All that were written to the cache, those for an hour among them."""

    written_for_long: int = 0


class _Charge(NamedTuple):
    """What a token of each kind costs."""

    input: Decimal
    cached: Decimal
    write: Decimal
    hour_write: Decimal
    output: Decimal


@dataclass(frozen=True)
class Tariff:
    """The prices of a model, in dollars for a million tokens, and the rules of its cache.

    A host may begin with `*.`; a model's name stands for all that go on with a hyphen, also behind
    a slash, and the empty one for every model of the host.
    """

    host: str
    model: str = ""
    input: Decimal | None = None
    cached: Decimal | None = None
    write: Decimal | None = None
    hour_write: Decimal | None = None
    """What writing to the cache costs where it is kept for an hour; as `write`, where that is all
    that is known."""

    output: Decimal | None = None
    long_above: int | None = None
    """Tokens of a prompt above which the whole call is billed at the prices that follow."""

    long_input: Decimal | None = None
    long_cached: Decimal | None = None
    long_write: Decimal | None = None
    long_hour_write: Decimal | None = None
    long_output: Decimal | None = None
    lifetime: float = SAFE.lifetime
    least: int = SAFE.min_prefix
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
        rules = (self.lifetime, self.least, self.step, self.is_whole)
        if not (normal := self._charge(0)) or not normal.input:
            return Rates(SAFE.read, SAFE.write, *rules)
        read, write = float(normal.cached / normal.input), float(normal.write / normal.input)
        if self.long_above is None or self.long_input is None:
            return Rates(read, write, *rules)
        return Rates(read, write, *rules, self.long_above, float(self.long_input / normal.input))

    def cost(self, used: Used) -> int | None:
        """Return the price of a call in billionths of a dollar; None where prices are not known."""
        charge = self._charge(used.prompt)
        if charge is None:
            return None
        fresh = max(used.prompt - used.cached - used.written, 0)
        for_long = min(used.written_for_long, used.written)
        total = (
            fresh * charge.input
            + used.cached * charge.cached
            + (used.written - for_long) * charge.write
            + for_long * charge.hour_write
            + used.completion * charge.output
        )
        return _whole(total * NANOS)

    def _charge(self, prompt: int) -> _Charge | None:
        """Return what the tokens of a call cost whose prompt has so many; None where unknown."""
        is_long = self.long_above is not None and prompt > self.long_above
        names = _LONG_PRICES if is_long else _PRICES
        input, cached, write, hour_write, output = (getattr(self, name) for name in names)
        if input is None or output is None:
            return None
        cached = input if cached is None else cached
        write = input if write is None else write
        return _Charge(input, cached, write, write if hour_write is None else hour_write, output)

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
        # Gateways and Gemini's OpenAI endpoint put a name in front: `models/gemini-2.5-pro`.
        names = (_known(name, models) for name in (model, model.rpartition("/")[2]))
        return models.get(next(filter(None, names), ""))


def _known(name: str, models: Container[str]) -> str:
    """Return the longest beginning of a name that is known, up to a hyphen; empty for none.

    A colon names a variant, such as `:free`, with prices of its own.
    """
    if ":" in name:
        return name if name in models else ""
    while name and name not in models:
        name = name.rpartition("-")[0]
    return name


def shipped(path: Path = SHIPPED) -> list[Tariff]:
    """Return the tariffs that come with this version, for each provider its rules first.

    Some count from a later day on only.
    """
    tables = tomllib.loads(path.read_text(), parse_float=Decimal)
    return [tariff for provider in tables["provider"] for tariff in _of_provider(provider)]


def _of_provider(provider: dict[str, Any]) -> Iterable[Tariff]:
    common = {name: provider[name] for name in ("host", "lifetime", "least", "step", "since")}
    common["is_whole"] = provider.get("is_whole", False)
    common["read"] = provider["read"]
    yield Tariff(**common, source=provider["rules"])
    for price in provider.get("price", ()):
        money = {name: Decimal(price[name]) for name in _MONEY if name in price}
        rules = {name: price[name] for name in _RULES if name in price}
        texts = (provider["source"], price.get("source"), provider["rules"])
        source = "; ".join(filter(None, texts))
        yield Tariff(**{**common, **rules, **money}, model=price["model"], source=source)


_PRICES: Final = ("input", "cached", "write", "hour_write", "output")
_LONG_PRICES: Final = tuple(f"long_{name}" for name in _PRICES)
_MONEY: Final = (*_PRICES, *_LONG_PRICES)
_RULES: Final = ("lifetime", "least", "step", "is_whole", "long_above", "since")


def _whole(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_HALF_UP))
