"""What holds for every page: its frame, its theme, where it may load from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings
from playwright.sync_api import BrowserContext, Page, expect

from alchemyst.accounts.models import User

STATIC = Path(settings.BASE_DIR) / "static"
PHONE = {"width": 360, "height": 740}
DARK_PAPER = "rgb(15, 20, 19)"
LIGHT_PAPER = "rgb(250, 251, 250)"


def paper(page: Page) -> str:
    return page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")


class TestTheme:
    def test_follows_the_system_where_nothing_was_chosen(self, page: Page):
        page.emulate_media(color_scheme="dark")

        page.goto("/")

        assert paper(page) == DARK_PAPER

    def test_is_the_one_of_the_cookie_in_the_first_byte_of_the_page(self, server: str):
        answer = requests.get(server, cookies={"theme": "dark"}, timeout=10)

        assert 'data-theme="dark"' in answer.text

    def test_that_was_chosen_overrules_the_system(self, context: BrowserContext, page: Page):
        context.add_cookies(
            [{"name": "theme", "value": "light", "domain": "127.0.0.1", "path": "/"}]
        )
        page.emulate_media(color_scheme="dark")

        page.goto("/")

        assert paper(page) == LIGHT_PAPER

    def test_that_makes_no_sense_is_the_systems(self, server: str):
        answer = requests.get(server, cookies={"theme": '"><script>'}, timeout=10)

        assert 'data-theme="system"' in answer.text


class TestPolicy:
    @pytest.mark.parametrize("path", ["/", "/signin", "/nothing-here"])
    def test_runs_no_script_but_our_own_files(self, server: str, path: str):
        policy = requests.get(server + path, timeout=10).headers["content-security-policy"]

        assert "script-src 'self';" in policy
        assert "default-src 'none';" in policy

    def test_runs_no_script_of_a_page_in_the_admin_either(self, server: str):
        answer = requests.get(f"{server}/admin/login/", timeout=10)

        policy = answer.headers["content-security-policy"]
        assert "script-src 'self' 'unsafe-eval';" in policy
        assert "default-src 'none';" in policy

    def test_lets_no_style_into_the_markup_of_our_pages(self, server: str):
        answer = requests.get(server, timeout=10)

        assert "style-src 'self';" in answer.headers["content-security-policy"]
        assert "style=" not in answer.text
        assert "<style" not in answer.text

    def test_lets_the_page_that_explains_the_api_work(self, page: Page):
        page.goto("/api/docs")

        expect(page.get_by_text("/api/v1/auth/token", exact=True).first).to_be_visible()

    def test_lets_the_admin_work(self, page: Page, alice: User):
        User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)

        page.goto("/admin/")
        page.get_by_label("Username").fill("alice")
        page.get_by_label("Password").fill("correct-horse-battery")
        page.get_by_role("button", name="Log in").click()

        expect(page.get_by_role("heading", name="Overview").first).to_be_visible()


class TestForms:
    def test_sent_without_their_token_are_refused_with_a_way_on(self, server: str):
        answer = requests.post(f"{server}/signin", data={"username": "alice"}, timeout=10)

        assert answer.status_code == 403
        assert "reload the page" in answer.text
        assert "style-src 'self';" in answer.headers["content-security-policy"]


class TestFrame:
    def test_begins_with_a_way_past_the_navigation(self, signed_in: Page):
        signed_in.goto("/settings")

        signed_in.keyboard.press("Tab")
        expect(signed_in.get_by_role("link", name="Skip to the content")).to_be_focused()
        signed_in.keyboard.press("Enter")

        expect(signed_in.locator("#main")).to_be_focused()

    @pytest.mark.parametrize("has_script", [True, False])
    def test_has_a_sheet_for_a_sidebar_on_a_phone(
        self,
        new_context: Callable[..., BrowserContext],
        sign_in: Callable[..., None],
        alice: User,
        has_script: bool,
    ):
        context = new_context(viewport=PHONE, java_script_enabled=has_script)
        sign_in(context, alice)
        page = context.new_page()
        page.goto("/settings")
        navigation = page.get_by_role("navigation", name="Main")
        expect(navigation).to_be_hidden()

        page.get_by_role("button", name="Open the sidebar").click()
        expect(navigation).to_be_visible()
        page.get_by_role("button", name="Close the sidebar").click()

        expect(navigation).to_be_hidden()

    def test_signs_out_from_the_menu_of_the_account(self, signed_in: Page):
        signed_in.goto("/settings")

        signed_in.locator("summary", has_text="Your account").click()
        signed_in.get_by_role("button", name="Sign out").click()

        expect(signed_in.get_by_role("link", name="Sign in").first).to_be_visible()


class TestComponents:
    @pytest.fixture(autouse=True)
    def _debug(self, settings: Any) -> None:
        settings.DEBUG = True

    @pytest.mark.parametrize("width", [360, 1440])
    def test_are_accessible(self, page: Page, accessible: Callable[[Page], None], width: int):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto("/styleguide")

        accessible(page)

    def test_fit_a_phone(self, page: Page):
        page.set_viewport_size(PHONE)
        page.goto("/styleguide")

        assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]

    def test_copy_code(self, context: BrowserContext, page: Page):
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto("/styleguide")

        page.get_by_role("button", name="Copy").last.click()

        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("() => navigator.clipboard.readText()") == "alk_0123456789"

    def test_close_a_menu_on_escape_and_give_the_focus_back(self, page: Page):
        page.goto("/styleguide")
        page.locator("summary", has_text="Menu").click()
        expect(page.get_by_role("link", name="Rename")).to_be_visible()

        page.keyboard.press("Escape")

        expect(page.get_by_role("link", name="Rename")).to_be_hidden()
        expect(page.locator("summary", has_text="Menu")).to_be_focused()

    def test_open_a_dialog_and_close_it(self, page: Page):
        page.goto("/styleguide")
        page.get_by_role("button", name="Delete").first.click()
        expect(page.get_by_role("dialog", name="Delete this?")).to_be_visible()

        page.get_by_role("button", name="Cancel").last.click()

        expect(page.get_by_role("dialog", name="Delete this?")).to_be_hidden()

    def test_dismiss_a_toast(self, page: Page):
        page.goto("/styleguide")

        page.get_by_role("button", name="Dismiss").click()

        expect(page.get_by_text("This one has a way back.")).to_be_hidden()


def test_the_components_are_shown_in_debug_alone(server: str):
    assert requests.get(f"{server}/styleguide", timeout=10).status_code == 404


def test_our_scripts_and_styles_are_small():
    ours = [path for kind in ("js", "css") for path in (STATIC / kind).rglob(f"*.{kind}")]

    assert sum(path.stat().st_size for path in ours) <= 100_000
