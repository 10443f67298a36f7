"""The proxy's pages in a browser: the playground of the filter, stored providers, usage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from alchemyst.accounts.models import User
from proxy.models import UsageRollup
from proxy.pages.playground import EXAMPLE

Signs = Callable[[BrowserContext, User], None]


@pytest.fixture
def plain(new_context: Callable[..., BrowserContext], sign_in: Signs, alice: User) -> Page:
    """A page of Alice's in a browser without JavaScript."""
    context = new_context(java_script_enabled=False)
    sign_in(context, alice)
    return context.new_page()


def paste(page: Page, text: str = EXAMPLE) -> None:
    page.goto("/playground")
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Filter it").click()
    expect(page.get_by_role("heading", name="What the model was given")).to_be_visible()


def tokens_sent(page: Page) -> int:
    return int(page.locator(".inspector-sum").inner_text().split()[0])


class TestWithoutAScript:
    def test_a_conversation_is_pasted_and_seen(self, plain: Page):
        paste(plain)

        expect(plain.locator("del.playground-words").first).to_be_visible()
        expect(plain.locator(".playground-message")).to_have_count(13)

    def test_another_mode_is_a_button_away(self, plain: Page):
        paste(plain)
        strict = tokens_sent(plain)

        plain.get_by_role("radio", name="off").check(force=True)
        plain.get_by_role("button", name="Switch").click()

        assert tokens_sent(plain) > strict
        expect(plain.get_by_role("radio", name="off")).to_be_checked()

    def test_a_message_is_pinned_and_stays_pinned_in_another_mode(self, plain: Page):
        paste(plain)
        plain.get_by_role("button", name="Pin 3", exact=True).click()
        plain.get_by_role("radio", name="strict", exact=False).nth(1).check(force=True)
        plain.get_by_role("button", name="Switch").click()

        expect(plain.get_by_role("button", name="Pinned 3", exact=True)).to_be_visible()

    def test_an_example_is_a_link_away(self, plain: Page):
        plain.goto("/playground")

        plain.get_by_role("link", name="Try an example").click()

        expect(plain.locator(".inspector-message")).to_have_count(13)


class TestWithScripts:
    def test_switching_modes_changes_the_tokens_at_once_and_keeps_the_focus(self, signed_in: Page):
        paste(signed_in)
        strict = tokens_sent(signed_in)
        signed_in.get_by_role("radio", name="very strict").focus()

        for _ in range(3):
            signed_in.keyboard.press("ArrowRight")
        expect(signed_in.locator(".is-dropped")).to_have_count(0)

        assert tokens_sent(signed_in) > strict
        expect(signed_in.get_by_role("radio", name="off")).to_be_focused()
        expect(signed_in.get_by_role("status").first).to_contain_text("Kept 13 of 13 messages")

    def test_pinning_keeps_the_focus_on_the_message(self, signed_in: Page):
        paste(signed_in)

        signed_in.get_by_role("button", name="Pin 3", exact=True).click()

        pinned = signed_in.get_by_role("button", name="Pinned 3", exact=True)
        expect(pinned).to_have_attribute("aria-pressed", "true")
        expect(pinned).to_be_focused()
        pinned.click()
        expect(signed_in.get_by_role("button", name="Pin 3", exact=True)).to_be_visible()

    def test_a_file_is_uploaded(self, signed_in: Page, tmp_path: Path):
        file = tmp_path / "chat.txt"
        file.write_text(EXAMPLE)
        signed_in.goto("/playground")

        signed_in.get_by_label("Or a file").set_input_files(file)
        signed_in.get_by_role("button", name="Filter it").click()

        expect(signed_in.locator(".inspector-message")).to_have_count(13)

    def test_an_error_is_said_and_mended(self, signed_in: Page):
        signed_in.goto("/playground")
        signed_in.get_by_label("Text").fill("Dear diary")
        signed_in.get_by_role("button", name="Filter it").click()
        expect(signed_in.get_by_role("alert")).to_contain_text("Begin each message with")

        signed_in.get_by_label("Text").fill(EXAMPLE)
        signed_in.get_by_role("button", name="Filter it").click()

        expect(signed_in.locator(".inspector-message")).to_have_count(13)

    def test_hostile_text_stays_text(self, signed_in: Page):
        hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title=1</script>"

        paste(signed_in, f"User: {hostile}\nAssistant: {hostile}\nUser: {hostile}")
        signed_in.get_by_role("radio", name="off").check(force=True)
        expect(signed_in.locator(".is-dropped")).to_have_count(0)

        expect(signed_in.locator(".playground-words").first).to_have_text(hostile)
        expect(signed_in).to_have_title("Playground · Alchemyst")
        assert signed_in.locator("#result img, #result script").count() == 0


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_proxys_pages_are_accessible_and_fit(
    signed_in: Page, alice: User, accessible: Callable[[Page], None], width: int
):
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    UsageRollup.objects.create(
        period="day", starts=today, caller=alice, requests=3, tokens_before=900, tokens_after=300
    )
    signed_in.set_viewport_size({"width": width, "height": 800})

    for path in ("/playground", "/playground?example=1", "/providers", "/providers/new", "/usage"):
        signed_in.goto(path)
        if width != 768:
            accessible(signed_in)
        assert signed_in.evaluate("() => document.documentElement.scrollWidth") == width


def test_a_provider_is_stored_deleted_and_had_back(signed_in: Page):
    signed_in.goto("/providers")
    signed_in.get_by_role("link", name="Store a provider").click()
    signed_in.get_by_label("Name").fill("openai")
    signed_in.get_by_label("Base URL").fill("https://api.openai.com/v1")
    signed_in.get_by_label("Its key").fill("sk-secret-of-alices-1234")
    signed_in.get_by_role("button", name="Store it").click()
    expect(signed_in.get_by_text("openai is stored.")).to_be_visible()

    signed_in.get_by_role("button", name="Delete openai").click()
    expect(signed_in.get_by_text("No providers yet")).to_be_visible()
    signed_in.get_by_role("button", name="Undo").click()

    expect(signed_in.get_by_text("https://api.openai.com/v1", exact=False).first).to_be_visible()
