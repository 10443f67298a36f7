"""Counts of limits outlive the process that counted, and staff can have them begin anew."""

from __future__ import annotations

import asyncio

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.urls import reverse

from alchemyst.accounts.limits import persistence, stores
from alchemyst.accounts.limits.admission import QuotaExhausted
from alchemyst.accounts.limits.lease import admit
from alchemyst.accounts.limits.quota import QuotaReservation
from alchemyst.accounts.models import SCOPES, ApiKey, AuditEntry, Limit, LimitCount, User

pytestmark = pytest.mark.django_db(transaction=True)

in_one_process = pytest.mark.skipif(
    bool(settings.REDIS_URL) or stores.without_redis() is not stores.memory_counters,
    reason="Redis and PostgreSQL keep counts themselves",
)


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    stores.memory_counters.clear()
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            for key in client.scan_iter("alchemyst:allowance:*"):
                client.delete(key)


@in_one_process
class TestAnotherProcess:
    def test_goes_on_with_the_days_requests(self, alice: User):
        Limit.objects.create(user=alice, requests_per_day=2)
        ask(alice)

        begin_again()

        ask(alice)
        with pytest.raises(QuotaExhausted):
            ask(alice)

    def test_goes_on_with_the_days_tokens(self, alice: User):
        Limit.objects.create(user=alice, tokens_per_day=100)
        use(alice, tokens=80)

        begin_again()

        with pytest.raises(QuotaExhausted):
            use(alice, tokens=30)

    def test_counts_another_day_anew(self, alice: User):
        Limit.objects.create(user=alice, requests_per_day=1)
        ask(alice)
        persistence.save()
        LimitCount.objects.update(window=1)

        begin_again()

        ask(alice)

    def test_has_every_place_free(self, alice: User):
        Limit.objects.create(user=alice, streams=1)
        lease = admit(alice.pk, "")

        begin_again()

        admit(alice.pk, "")
        lease.release()

    def test_has_nothing_written_down_for_it_twice(self, alice: User, django_assert_num_queries):
        Limit.objects.create(user=alice, requests_per_day=2)
        ask(alice)
        persistence.save()

        with django_assert_num_queries(0):
            persistence.save()


class TestAReset:
    def test_counts_a_user_anew_and_tells_the_audit_log(self, admin_client, alice: User):
        Limit.objects.create(user=alice, requests_per_day=1)
        ask(alice)

        reset(admin_client, alice)

        ask(alice)
        assert AuditEntry.objects.get().action == "counted anew"

    def test_counts_their_keys_and_their_own_share_of_groups_anew(self, admin_client, alice: User):
        key, _ = ApiKey.make(alice, name="laptop", scopes=SCOPES)
        Limit.objects.create(key=key, requests_per_day=1)
        alice.groups.add(group := Group.objects.create(name="bakers"))
        Limit.objects.create(group=group, requests_per_day=1)
        ask(alice, key)

        reset(admin_client, alice)

        ask(alice, key)

    def test_leaves_others_and_what_a_group_shares(self, admin_client, alice: User, bob: User):
        Limit.objects.create(user=bob, requests_per_day=1)
        alice.groups.add(group := Group.objects.create(name="bakers"))
        Limit.objects.create(group=group, requests_per_day=1, is_shared=True)
        ask(alice)
        ask(bob)

        reset(admin_client, alice)

        for user in (alice, bob):
            with pytest.raises(QuotaExhausted):
                ask(user)

    @in_one_process
    def test_outlives_the_process(self, admin_client, alice: User):
        Limit.objects.create(user=alice, requests_per_day=1)
        ask(alice)
        persistence.save()

        reset(admin_client, alice)
        begin_again()

        ask(alice)

    def test_is_for_who_may_change_limits(self, client, alice: User):
        boris = User.objects.create_user("boris", is_staff=True)
        boris.user_permissions.add(Permission.objects.get(codename="change_user"))
        client.force_login(boris)
        Limit.objects.create(user=alice, requests_per_day=1)
        ask(alice)

        reset(client, alice)

        with pytest.raises(QuotaExhausted):
            ask(alice)


def ask(user: User, key: ApiKey | None = None) -> None:
    admit(user.pk, str(key.pk) if key else "").release()


def use(user: User, *, tokens: int) -> None:
    async def taken() -> None:
        reservation = QuotaReservation(limits)
        await reservation.acquire()
        try:
            await reservation.reserve(tokens)
            reservation.settle(tokens)
        finally:
            await reservation.release()

    limits = Limit.objects.limits_on(user.pk, None)
    asyncio.run(taken())


def begin_again() -> None:
    """End the process, as far as counts go, and begin another."""
    persistence.save()
    stores.memory_counters.clear()
    persistence.resume()


def reset(client, user: User) -> None:
    body = {"action": "reset", "_selected_action": [user.pk]}
    client.post(reverse("admin:accounts_user_changelist"), body)
