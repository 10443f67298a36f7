"""The admin as staff of each role meet it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from alchemyst.accounts.models import AuditEntry, Limit, User
from alchemyst.staff.dashboard import median_first_byte
from proxy.models import UsageRecord, UsageRollup
from tests.proxy.test_usage_sums import a_call, written

pytestmark = pytest.mark.django_db

USERS = "admin:accounts_user_changelist"


def act(client: Any, url: str, action: str, *rows: Any) -> Any:
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(reverse(url), chosen, follow=True)


class TestRoles:
    @pytest.mark.parametrize(
        ("role", "opens", "refuses"),
        [
            ("support", ["accounts_user", "proxy_decisionrecord"], ["proxy_usagerollup"]),
            ("analyst", ["proxy_usagerollup", "proxy_usagerecord"], ["accounts_user"]),
            ("admin", ["accounts_user", "proxy_usagerollup", "accounts_auditentry"], []),
        ],
    )
    def test_open_what_they_are_for(self, staff, role, opens, refuses):
        client = staff(role)

        for name in opens:
            assert client.get(reverse(f"admin:{name}_changelist")).status_code == 200
        for name in refuses:
            assert client.get(reverse(f"admin:{name}_changelist")).status_code == 403

    def test_that_are_no_superuser_make_none(self, staff, alice: User):
        url = reverse("admin:accounts_user_change", args=[alice.pk])
        body = {"username": "alice", "is_active": "on", "is_superuser": "on", "is_staff": "on",
                "scopes": ["chat"], "limit-TOTAL_FORMS": 0, "limit-INITIAL_FORMS": 0}  # fmt: skip

        staff("admin").post(url, body)

        alice.refresh_from_db()
        assert alice.scopes == ["chat"]
        assert (alice.is_superuser, alice.is_staff) == (False, False)

    def test_that_are_no_superuser_do_not_block_one(self, staff, admin_user: User):
        act(staff("admin"), USERS, "block", admin_user)

        admin_user.refresh_from_db()
        assert admin_user.is_active


class TestUsers:
    def test_are_blocked_and_let_in_again_with_an_entry_of_each(self, staff, alice: User, as_alice):
        client = staff("support")

        page = act(client, USERS, "block", alice)
        assert "1 user blocked." in page.content.decode()
        assert as_alice.get("/api/v1/auth/keys").status_code == 401
        act(client, USERS, "unblock", alice)

        alice.refresh_from_db()
        assert alice.is_active
        entries = [(entry.action, entry.about) for entry in AuditEntry.objects.order_by("pk")]
        assert entries == [("blocked", alice), ("unblocked", alice)]

    def test_are_not_blocked_by_who_may_only_look(self, staff, alice: User):
        act(staff("analyst"), USERS, "block", alice)

        alice.refresh_from_db()
        assert alice.is_active

    def test_get_a_limit_on_their_page(self, admin_client, alice: User):
        url = reverse("admin:accounts_user_change", args=[alice.pk])
        body = {"username": "alice", "is_active": "on", "scopes": ["chat", "proxy"],
                "limit-TOTAL_FORMS": 1, "limit-INITIAL_FORMS": 0,
                "limit-0-requests_per_day": 7}  # fmt: skip

        response = admin_client.post(url, body)

        assert response.status_code == 302, response.context["errors"]
        assert Limit.objects.get(user=alice).requests_per_day == 7


class TestTheAuditLog:
    def test_has_each_change_that_staff_make(self, admin_client, alice: User):
        body = {"user": alice.pk, "requests_per_minute": 5}
        admin_client.post(reverse("admin:accounts_limit_add"), body)
        limit = Limit.objects.get()
        url = reverse("admin:accounts_limit_change", args=[limit.pk])
        admin_client.post(url, body | {"requests_per_minute": 6})
        admin_client.post(reverse("admin:accounts_limit_delete", args=[limit.pk]), {"post": "yes"})

        entries = AuditEntry.objects.order_by("pk").values_list(
            "action", "about__username", "reason"
        )
        assert list(entries) == [
            ("added", "alice", ""),
            ("changed", "alice", "fields: Requests per minute"),
            ("deleted", "alice", ""),
        ]

    def test_is_read_and_not_written(self, admin_client, alice: User):
        entry = AuditEntry.note(alice, "did", alice)
        url = reverse("admin:accounts_auditentry_change", args=[entry.pk])

        assert admin_client.get(url).status_code == 200
        assert admin_client.post(url, {"action": "x"}).status_code == 403
        assert admin_client.get(reverse("admin:accounts_auditentry_add")).status_code == 403


class TestTheSwitch:
    def test_is_turned_with_a_reason(self, staff):
        client = staff("admin")

        client.post(reverse("admin:switch"), {"state": "off", "reason": "wrong answers"})

        assert "The filter is off" in client.get(reverse("admin:switch")).content.decode()
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.reason) == ("switched the filter off", "wrong answers")

    def test_is_for_those_who_may(self, staff):
        client = staff("support")

        assert client.get(reverse("admin:switch")).status_code == 403
        assert client.post(reverse("admin:switch"), {"state": "off"}).status_code == 403


class TestDecisions:
    def test_show_what_was_dropped_and_why_without_a_word_of_it(self, staff, decision):
        page = staff("support").get(
            reverse("admin:proxy_decisionrecord_change", args=[decision.pk])
        )

        text = page.content.decode()
        assert "is-dropped" in text
        assert "not needed, 0.09" in text
        assert "Paris" not in text
        assert "bread" not in text

    def test_are_read_for_a_reason_that_their_owner_sees(self, staff, decision, alice: User):
        client = staff("admin")
        url = reverse("admin:proxy_decisionrecord_read", args=[decision.pk])
        assert "Paris" not in client.get(url).content.decode()

        refused = client.post(url, {"reason": ""}).content.decode()
        read = client.post(url, {"reason": "ticket 4711, missing answer"})

        assert "Paris" not in refused
        assert "a secret of Paris" in read.content.decode()
        assert "no-store" in read["Cache-Control"]
        (entry,) = AuditEntry.objects.shown_to(alice.pk)
        assert entry.reason == "ticket 4711, missing answer"

    def test_are_not_read_without_the_permission(self, staff, decision):
        url = reverse("admin:proxy_decisionrecord_read", args=[decision.pk])

        assert staff("support").post(url, {"reason": "curiosity, really"}).status_code == 403
        assert not AuditEntry.objects.exists()


class TestTheFirstPage:
    def test_draws_the_month_from_the_sums(self, staff, alice: User, django_assert_max_num_queries):
        today = datetime.now(UTC)
        written(*(a_call(alice, created=today, persona="maya") for _ in range(40)))
        client = staff("analyst")

        with django_assert_max_num_queries(14):
            page = client.get(reverse("admin:index")).content.decode()

        assert "40 requests, 0 errors" in page
        assert "4,000 before, 2,400 after" in page
        assert "40 %" in page
        assert "maya" in page
        assert "gpt-test" in page

    def test_shows_no_numbers_to_who_may_not_see_usage(self, staff, alice: User):
        written(a_call(alice, created=datetime.now(UTC)))

        assert "<svg viewBox" not in staff("support").get(reverse("admin:index")).content.decode()

    @pytest.mark.parametrize(
        ("counts", "median"),
        [
            ({}, 0),
            ({"first_byte_100": 2}, 50),
            ({"first_byte_250": 1, "first_byte_500": 2}, 312),
            ({"first_byte_later": 3}, 10000),
        ],
    )
    def test_has_the_median_wait_as_near_as_the_counts_tell(self, counts, median):
        assert median_first_byte(counts) == pytest.approx(median, abs=1)


class TestUsage:
    def test_is_taken_along_as_a_sheet_without_formulas(self, staff, alice: User):
        written(a_call(alice, model="=1+1"))
        rows = UsageRollup.objects.all()

        answer = act(staff("analyst"), "admin:proxy_usagerollup_changelist", "as_sheet", *rows)

        table = list(csv.DictReader(io.StringIO(answer.content.decode())))
        assert {row["model"] for row in table} == {"'=1+1"}

    def test_is_found_by_a_users_name(self, staff, alice: User, bob: User):
        written(a_call(alice, model="of-alice"), a_call(bob, model="of-bob"))

        url = reverse("admin:proxy_usagerecord_changelist") + "?q=alice"
        page = staff("analyst").get(url).content.decode()

        assert "of-alice" in page
        assert "of-bob" not in page

    @pytest.mark.parametrize("page", ["usagerecord", "usagerollup"])
    def test_shows_the_providers_counts_with_their_words(self, staff, alice: User, page: str):
        written(a_call(alice, counts={"prompt_tokens": 1234, "reasoning_tokens": 2}))

        shown = staff("analyst").get(reverse(f"admin:proxy_{page}_changelist")).content.decode()

        assert "1,234 in · 20 cached · 7 out · 2 reasoning" in shown


@pytest.mark.slow
class TestWithAHundredThousandRows:
    def test_a_list_opens_with_a_handful_of_queries_and_counts_nothing(
        self, alice: User, staff, django_assert_max_num_queries
    ):
        written(*(a_call(alice) for _ in range(100)))
        _double(UsageRecord, "request_id", times=10)
        client = staff("analyst")

        for query in ("", "?outcome=refused", "?q=alice", "?p=40"):
            with django_assert_max_num_queries(10) as queries:
                url = reverse("admin:proxy_usagerecord_changelist") + query
                assert client.get(url).status_code == 200
            on_calls = [
                each["sql"] for each in queries if UsageRecord._meta.db_table in each["sql"]
            ]
            assert on_calls
            assert not any("COUNT(" in sql or "DISTINCT" in sql for sql in on_calls)

    def test_a_list_of_users_has_no_query_for_each(self, staff, django_assert_max_num_queries):
        User.objects.bulk_create(User(username=f"user{n:06}") for n in range(100_000))
        client = staff("support")

        with django_assert_max_num_queries(10) as queries:
            page = client.get(reverse(USERS) + "?q=user0500")

        assert "user050000" in page.content.decode()
        assert not any('COUNT(*) AS "__count"' in each["sql"] for each in queries)


def _double(model: Any, unique: str, *, times: int) -> None:
    """Copy all rows of a table, again and again."""
    table = model._meta.db_table
    names = [field.column for field in model._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(f'"{name}"' for name in names)
    for number in range(times):
        copied = columns.replace(f'"{unique}"', f"\"{unique}\" || '{number}'")
        with connection.cursor() as cursor:
            cursor.execute(f'INSERT INTO "{table}" ({columns}) SELECT {copied} FROM "{table}"')
