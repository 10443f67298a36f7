"""The journeys of staff, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import requests
from playwright.sync_api import BrowserContext, Page, expect

from alchemyst.accounts.models import AuditEntry, User
from chats.models import Chat
from proxy.models import DecisionRecord
from tests.fakes import FakeProvider
from tests.proxy.conftest import completion
from tests.proxy.test_usage_sums import a_call, written

SignIn = Callable[[BrowserContext, User], None]


@pytest.fixture
def admin(context: BrowserContext, server: str, sign_in: SignIn) -> Page:
    """A page that an administrator has open."""
    user = User.objects.create_superuser("root-person", password="x")
    sign_in(context, user)
    return context.new_page()


def test_blocking_a_user_ends_their_stream(
    admin: Page, alice: User, http: requests.Session, server: str, provider: FakeProvider
):
    url = f"{server}/api/v1/proxy/{provider.url}/stall-after-one/v1/sk-1/chat/completions"
    with http.post(url, json=completion(stream=True), stream=True, timeout=10) as stream:
        lines = stream.iter_lines()
        next(lines)

        admin.goto("/admin/accounts/user/?q=alice")
        admin.get_by_role("checkbox", name="Select record").first.check()
        admin.locator("select[name=action]").select_option("block")
        admin.get_by_role("button", name="Run").click()
        expect(admin.get_by_text("1 user blocked.")).to_be_visible()

        assert "access_ended" in b"".join(lines).decode()
    assert provider.last().is_closed.wait(5)
    assert http.get(f"{server}/api/v1/auth/keys").status_code == 401


def test_the_switch_lets_requests_pass(
    admin: Page, http: requests.Session, server: str, provider: FakeProvider, filter_on_again
):
    url = f"{server}/api/v1/proxy/{provider.url}/v1/sk-1/chat/completions"
    admin.goto("/admin/switch/")
    admin.get_by_label("Why, for the audit log").fill("wrong answers")
    admin.get_by_role("button", name="Switch the filter off").click()

    expect(admin.get_by_text("The filter is off.")).to_be_visible()
    admin.wait_for_timeout(2000)
    told = http.post(url, json=completion()).headers["x-alchemyst-context"]
    assert "mode=off; result=off" in told
    assert AuditEntry.objects.get().reason == "wrong answers"


def test_a_chat_is_read_for_a_reason(admin: Page, alice: User):
    chat = Chat.objects.create(owner=alice, title="Baking")
    chat.append("user", "Tell me of my grandmother's sourdough.")

    admin.goto("/admin/chats/chat/")
    admin.get_by_role("link", name="Baking").click()
    expect(admin.get_by_text("grandmother")).to_have_count(0)
    admin.get_by_role("link", name="Read or export").click()
    admin.get_by_label("Why").fill("ticket 12, answer missing")
    admin.get_by_role("button", name="Read").click()

    expect(admin.get_by_text("my grandmother's sourdough")).to_be_visible()
    assert AuditEntry.objects.shown_to(alice.pk).get().reason == "ticket 12, answer missing"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_first_page_draws_its_charts(admin: Page, alice: User, theme: str):
    today = datetime.now(UTC)
    written(*(a_call(alice, created=today - timedelta(days=n % 9)) for n in range(60)))
    admin.emulate_media(color_scheme=theme)

    admin.goto("/admin/")

    charts = admin.locator("figure.staff-chart svg")
    expect(charts).to_have_count(4)
    assert charts.first.locator("rect.tone-accent").count() == 9


class TestAccessibility:
    # The theme has no landmark for what a page is about, and names two of its own alike.
    OF_THE_THEME = ("region", "landmark-one-main", "landmark-unique")
    # Django's fields to choose rows, and one of several.
    OF_DJANGO = (".select2", ".help-tooltip")

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize(
        "path",
        [
            "",
            "switch/",
            "configuration/",
            "accounts/user/",
            "accounts/user/{user}/change/",
            "accounts/limit/add/",
            "accounts/auditentry/",
            "chats/chat/",
            "chats/chat/{chat}/change/",
            "personas/persona/",
            "proxy/usagerecord/",
            "proxy/usagerollup/",
            "proxy/decisionrecord/{decision}/change/",
        ],
    )
    def test_has_no_fault_of_ours(
        self, admin: Page, alice: User, decision: DecisionRecord, accessible, path: str, theme: str
    ):
        """In the theme that the account has chosen, whatever the system prefers."""
        User.objects.filter(username="root-person").update(theme=theme)
        chat = Chat.objects.create(owner=alice, title="Baking")
        written(a_call(alice, created=datetime.now(UTC)))
        AuditEntry.note(alice, "blocked", alice, about=alice, reason="spam")

        admin.goto("/admin/" + path.format(user=alice.pk, chat=chat.pk, decision=decision.pk))

        for width in (1440, 390):
            admin.set_viewport_size({"width": width, "height": 900})
            accessible(admin, rules=self.OF_THE_THEME, parts=self.OF_DJANGO)
            assert admin.evaluate("document.documentElement.scrollWidth") <= width


def test_staff_sign_in_on_a_page_of_the_same_look(page: Page, server: str):
    User.objects.create_user("sam", password="correct-horse-battery", is_staff=True)

    page.goto("/admin/")
    page.get_by_label("Username").fill("sam")
    page.get_by_label("Password").fill("correct-horse-battery")
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("heading", name="Overview").first).to_be_visible()
