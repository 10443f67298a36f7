"""The pages of an account, as they are used in a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from alchemyst.accounts.models import ApiKey, User
from tests.conftest import PASSWORD


@pytest.mark.parametrize("has_script", [True, False])
def test_from_signing_up_to_a_key_and_back(
    new_context: Callable[..., BrowserContext], has_script: bool
):
    page = new_context(java_script_enabled=has_script).new_page()
    page.goto("/")
    page.get_by_role("link", name="Sign up").first.click()
    page.get_by_label("Username").fill("carol")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make an account").click()
    page.locator("summary", has_text="Your account").click()
    page.get_by_role("link", name="API keys").click()
    page.get_by_role("link", name="Make a key").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Make the key").click()
    shown = page.locator(".code").first.locator("code").inner_text()

    assert ApiKey.objects.for_secret(shown).get().owner.username == "carol"

    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("button", name="Revoke laptop").click()
    expect(page.get_by_text("laptop is revoked.")).to_be_visible()
    assert not ApiKey.objects.exists()

    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The key is accepted again.")).to_be_visible()
    assert ApiKey.objects.for_secret(shown).exists()


@pytest.mark.parametrize("has_script", [True, False])
def test_a_reload_of_the_page_that_shows_a_key_makes_no_second_one(
    new_context: Callable[..., BrowserContext],
    alice: User,
    sign_in: Callable[[BrowserContext, User], None],
    has_script: bool,
):
    context = new_context(java_script_enabled=has_script)
    sign_in(context, alice)
    page = context.new_page()
    page.goto("/keys/new")
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("link", name="I have copied it")).to_be_visible()

    page.reload()

    expect(page.get_by_role("heading", name="API keys")).to_be_visible()
    assert ApiKey.objects.count() == 1


def test_a_theme_is_seen_as_it_is_chosen_and_stays(signed_in: Page):
    signed_in.emulate_media(color_scheme="light")
    signed_in.goto("/settings")

    signed_in.get_by_text("Dark").click()
    expect(signed_in.locator("html")).to_have_css("background-color", "rgb(15, 20, 19)")
    signed_in.get_by_role("button", name="Save").click()

    expect(signed_in.get_by_text("Saved.")).to_be_visible()
    expect(signed_in.locator("html")).to_have_attribute("data-theme", "dark")


def test_an_error_stands_at_its_field_and_is_said(page: Page, accessible: Callable[[Page], None]):
    page.goto("/signup")
    page.get_by_label("Username").fill("not a name")
    page.get_by_label("Password").fill("x")
    page.get_by_role("button", name="Make an account").click()

    expect(page.get_by_label("Username")).to_have_accessible_description(
        "Letters, digits and @ . + - _ Enter a valid username. This value may contain only "
        "letters, numbers, and @/./+/-/_ characters."
    )
    accessible(page)


@pytest.mark.parametrize("path", ["/", "/signin", "/signup", "/password/reset", "/nothing-here"])
def test_a_strangers_pages_are_accessible(
    page: Page, accessible: Callable[[Page], None], path: str
):
    page.goto(path)

    accessible(page)


@pytest.mark.parametrize("width", [360, 1280])
def test_an_accounts_pages_are_accessible_and_fit(
    signed_in: Page, alice: User, accessible: Callable[[Page], None], width: int
):
    ApiKey.make(alice, name="laptop", scopes=["proxy", "chat"])
    signed_in.set_viewport_size({"width": width, "height": 800})

    for path in (
        "/start",
        "/settings",
        "/settings/password",
        "/settings/erase",
        "/keys",
        "/keys/new",
    ):
        signed_in.goto(path)
        accessible(signed_in)
        assert signed_in.evaluate("() => document.documentElement.scrollWidth") == width
