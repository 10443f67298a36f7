"""Who is called for what: the one place where parts that don't know each other are connected.

Importing a module registers nothing. `connect` is called once the apps are ready, and may be
called again.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any
from uuid import UUID

from celery.signals import heartbeat_sent, setup_logging
from django.apps import apps as registry
from django.core.checks import register
from django.core.signals import setting_changed
from django.db import transaction
from django.db.models import CharField, TextField
from django.db.models.signals import post_delete, post_migrate, post_save
from rest_framework.exceptions import APIException

from alchemyst import celery
from alchemyst.accounts import broadcast
from alchemyst.accounts.auth import token_cache
from alchemyst.accounts.auth.own_tokens import contains_own_token
from alchemyst.accounts.limits import lease
from alchemyst.accounts.signals import access_changed, access_ended
from alchemyst.errors import to_api_error
from alchemyst.operations import checks, metrics
from chats.answers import admission, revocation
from chats.answers.admission import Lease
from chats.eventlog import notify
from chats.models.chat import chat_changed
from chats.search import index
from chats.search.query import Words
from chats.transfer import proxy_capture
from proxy import options
from proxy.accounting import conversation_capture, price_table, usage_writer
from proxy.accounting.call_cost import PricedCall
from proxy.common import own_tokens
from proxy.filtering import conversation_state
from proxy.limits import active_calls, budgets
from proxy.models import Budget, Price, Provider
from proxy.models.provider import providers_updated
from proxy.providers import cache as provider_cache


def connect() -> None:
    """Connect everything."""
    _connect_framework()
    _connect_caches()
    _connect_calls()
    _connect_revocation()


def _connect_framework() -> None:
    register(checks.no_unsafe_setting)
    register(checks.what_operators_get_wrong)
    for field in (CharField, TextField):
        field.register_lookup(Words)
    # The library knows an extension once its class is there.
    import_module("alchemyst.accounts.auth.schema")
    heartbeat_sent.connect(celery.say_alive)
    setup_logging.connect(celery.keep_our_logging)
    post_migrate.connect(index.on_migrated, sender=registry.get_app_config("chats"))
    post_migrate.connect(ship_prices, sender=registry.get_app_config("proxy"))


def _connect_caches() -> None:
    """Each forgets what it holds when the rows or settings change that it was read from."""
    access_changed.connect(token_cache.on_access_changed)
    for signal in (post_save, post_delete):
        signal.connect(price_table.on_price_changed, sender=Price)
        signal.connect(budgets.on_budget_changed, sender=Budget)
        signal.connect(provider_cache.on_provider_changed, sender=Provider)
    providers_updated.connect(provider_cache.on_provider_changed)
    setting_changed.connect(options.on_setting_changed)
    setting_changed.connect(conversation_state.on_setting_changed)


def _connect_calls() -> None:
    admission.gate = admit
    own_tokens.contains_one = contains_own_token
    usage_writer.sinks[:] = [
        charge_quotas,
        metrics.observe,
        usage_writer.update_cache_estimates,
        usage_writer.expire_now_and_then,
    ]
    conversation_capture.register_sink(proxy_capture.import_captured)
    chat_changed.connect(wake_watchers)


def _connect_revocation() -> None:
    access_ended.connect(broadcast.on_access_ended)
    for act in (forget_tokens, end_calls, end_answers):
        broadcast.subscribe(broadcast.ACCESS_ENDED, act)


def admit(user_id: int, key_id: str) -> Lease:
    """Let an answer of the chats be asked for, if the limits allow; raises ApiError."""
    try:
        return lease.admit(user_id, key_id)
    except APIException as error:
        raise to_api_error(error) from None


def charge_quotas(calls: list[PricedCall]) -> None:
    """Count the tokens of answers that were admitted."""
    lease.charge(call.row for call in calls)


def ship_prices(using: str, apps: Any = registry, **kwargs: Any) -> None:
    """Add the prices that this version brings, once their table is there.

    They are rows like an operator's own.
    """
    if any(model._meta.label == "proxy.Price" for model in apps.get_models()):
        Price.ship(using)


def wake_watchers(chat_id: UUID, **kwargs: Any) -> None:
    """Wake who shows the chat, once its change can be read."""
    transaction.on_commit(lambda: notify.publish(str(chat_id)))


def forget_tokens(subject: str) -> None:
    token_cache.cached_tokens.forget(int(subject))


def end_calls(subject: str) -> None:
    active_calls.abort(int(subject))


def end_answers(subject: str) -> None:
    revocation.revoke(int(subject))
