"""Budgets in money on a request's way: held before the provider is asked, settled after.

Who has a budget is remembered for a moment, so that a request without one asks no database.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import DatabaseError

from proxy.accounting import price_table
from proxy.accounting.call_cost import used_of
from proxy.common.runtime.threads import on_database_thread
from proxy.common.ttl_cache import CachedValue
from proxy.cost.prices import Tariff, Used
from proxy.errors import BudgetSpent
from proxy.filtering.cost_gate import has_marks
from proxy.filtering.result import FilterResult
from proxy.limits import token_quota
from proxy.models import Budget
from proxy.models.budget import COUNTED
from proxy.options import options
from proxy.wire.dialect import Counts

logger = logging.getLogger("proxy.limits.budgets")

# Where a request sets no bound to its answer, so many tokens are held for it.
ANSWER_TOKENS = 4096
GRACE_SECONDS = 0.1
# In a text of JSON's its quotes would be escaped, so it is a value: a cache mark's lifetime.
_AN_HOUR = b'"1h"'


@dataclass(frozen=True, slots=True)
class BudgetIndex:
    """Who has which budgets, by their ids."""

    users: dict[int, set[int]] = field(default_factory=dict)
    keys: dict[str, set[int]] = field(default_factory=dict)

    def of(self, user_id: int, key_id: str) -> frozenset[int]:
        """Return the budgets that this user meets with this key."""
        return frozenset(self.users.get(user_id, set()) | self.keys.get(key_id, set()))


def _read() -> BudgetIndex:
    index = BudgetIndex(defaultdict(set), defaultdict(set))
    groups = defaultdict(set)
    for budget in Budget.objects.only("pk", "user_id", "group_id", "key_id"):
        if budget.user_id:
            index.users[budget.user_id].add(budget.pk)
        elif budget.group_id:
            groups[budget.group_id].add(budget.pk)
        else:
            index.keys[budget.key_id].add(budget.pk)
    members = get_user_model().objects.filter(groups__in=groups).values_list("pk", "groups")
    for user_id, group_id in members:
        index.users[user_id] |= groups.get(group_id, set())
    return BudgetIndex(dict(index.users), dict(index.keys))


_index = CachedValue(_read, seconds=lambda: options().memory_seconds)

forget = _index.invalidate
"""Look for budgets again before the next request."""


def on_budget_changed(update_fields: frozenset[str] | None = None, **kwargs: Any) -> None:
    """Look for budgets again after every change of a row but a count."""
    if update_fields is None or not update_fields <= set(COUNTED):
        forget()


def none_exist() -> bool:
    """Tell whether it is known that nobody has a budget."""
    index = _index.fresh()
    return index is not None and not index.users and not index.keys


async def exist_for(user_id: int, key_id: str) -> bool:
    """Whether a budget bounds what this user does with this key."""
    return not none_exist() and bool((await _table()).of(user_id, key_id))


async def reserve(
    user_id: int, key_id: str, holder: str, result: FilterResult | None, host: str, model: str
) -> Reservation | None:
    """Hold what a request may cost; None where no budget bounds it. Raises BudgetSpent.

    What has no price is free to a budget; what nobody has read holds as good as nothing.
    """
    index = await _table()
    if not index.users and not index.keys:
        return None
    ids = index.of(user_id, key_id)
    tariff = (await price_table.table()).of(host, model) if ids else None
    if tariff is None or tariff.input is None:
        return None
    amount = _most(tariff, result) if result else 1
    refused = await _take_on_thread(ids, holder, amount)
    if refused and refused.is_held:
        # A caller may send the next request before the last answer has been settled.
        await asyncio.sleep(GRACE_SECONDS)
        refused = await _take_on_thread(ids, holder, amount)
    if refused:
        raise _refusal_error(refused)
    return Reservation(ids, holder, tariff)


class Refusal(NamedTuple):
    """Which budget has not enough left."""

    budget: Budget
    is_held: bool
    """Whether it had enough, if others under way held nothing."""

    seconds_left: int | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one request holds of its budgets."""

    ids: frozenset[int]
    holder: str
    tariff: Tariff

    async def settle(self, counts: Counts | None) -> None:
        """Count what the request did cost, and give the rest back. Never raises.

        Whoever cancels the request does not keep what it holds along with it.
        """
        settling = asyncio.create_task(self._settle(_cost(self.tariff, counts)))
        _settling.add(settling)
        settling.add_done_callback(_settling.discard)
        await asyncio.shield(settling)

    async def _settle(self, cost: int) -> None:
        try:
            await _settle_on_thread(self.ids, self.holder, cost)
        except DatabaseError as error:
            logger.error("A budget was not settled: %s", type(error).__name__)


_settling: set[asyncio.Task[None]] = set()


def _most(tariff: Tariff, result: FilterResult) -> int:
    sent = token_quota.sent(result)
    bound = token_quota.max_output(result)
    answer = ANSWER_TOKENS if bound is None else bound
    plain = tariff.cost(Used(sent, answer)) or 0
    is_marked = has_marks(result.body)
    if not is_marked and not tariff.rates.has_cache:
        return plain
    for_long = sent if is_marked and _AN_HOUR in result.body else 0
    written = tariff.cost(Used(sent, answer, written=sent, written_for_long=for_long)) or 0
    return max(plain, written)


def _cost(tariff: Tariff, counts: Counts | None) -> int:
    return 0 if counts is None else tariff.cost(used_of(counts)) or 0


async def _table() -> BudgetIndex:
    """Return who has budgets; without a database, who had them when it was last there."""
    try:
        return await _index.aget()
    except DatabaseError as error:
        logger.error("The budgets could not be read: %s", type(error).__name__)
        return _index.last() or BudgetIndex()


def _take(ids: frozenset[int], holder: str, amount: int) -> Refusal | None:
    now = datetime.now(UTC)
    refused = Budget.objects.take(ids, holder, amount, now)
    if refused is None:
        return None
    is_held = refused.spent + amount <= refused.limit_nanos
    return Refusal(refused, is_held, refused.seconds_left(now))


def _refusal_error(refusal: Refusal) -> BudgetSpent:
    refused, wait = refusal.budget, refusal.seconds_left
    whose = "Your" if refused.user_id else "Your group's" if refused.group_id else "This API key's"
    period = {"day": "a day", "month": "a month", "all": "in all"}[refused.period]
    # SDKs retry a 429 after seconds, but money does not come back in seconds.
    headers = [("x-should-retry", "false")]
    if wait is not None:
        headers.append(("retry-after", str(wait)))
    return BudgetSpent(
        f"{whose} budget of ${refused.limit.normalize():f} {period} has not enough left for this "
        "request. Ask for a shorter answer, or ask the operator.",
        headers=tuple(headers),
    )


def _settle(ids: frozenset[int], holder: str, cost: int) -> None:
    Budget.objects.settle(ids, holder, cost, datetime.now(UTC))


# A few threads only, so that waiting for row locks leaves some to others.
_take_on_thread = on_database_thread(_take, at_most=2, writes=True)
_settle_on_thread = on_database_thread(_settle, at_most=2, writes=True)
