"""Pages speak the reader's language; the API speaks English."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation
from django.utils.translation.template import templatize
from playwright.sync_api import Page, expect

from alchemyst.accounts.models import User
from tests.conftest import PASSWORD

ROOT = Path(settings.BASE_DIR)
CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext"}
# In what Django makes of a template for gettext's tools.
IN_TEMPLATES = re.compile(r"""\b(?:n?gettext|_)\(u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    """What a request switches on in this thread, the next test would speak."""
    yield
    translation.deactivate()


def words_of_pages() -> Iterator[tuple[str, Path]]:
    """Every sentence that a page may say, with the file that says it."""
    for path in (ROOT / "templates").rglob("*.html"):
        for literal in IN_TEMPLATES.findall(templatize(path.read_text())):
            yield ast.literal_eval(literal), path
    for app in ("alchemyst", "chats", "personas", "proxy"):
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in CALLS
                    and node.args
                    and isinstance(node.args[0], ast.Constant)
                ):
                    yield str(node.args[0].value), path


def test_every_word_of_a_page_has_its_german():
    german = gettext.translation("django", ROOT / "alchemyst/locale", ["de"])._catalog  # type: ignore[attr-defined]

    spoken = {(words, path.name) for words, path in words_of_pages()}
    missing = {each for each in spoken if not german.get(each[0], german.get((each[0], 0)))}

    assert len(spoken) > 300
    assert missing == set()


class TestTheLanguageOfAPage:
    def test_is_the_browsers(self, client: Client, db: None):
        page = client.get("/signin", headers={"accept-language": "de-AT,de;q=0.9,en;q=0.5"})

        assert 'lang="de" dir="ltr"' in page.content.decode()
        assert "Anmelden" in page.content.decode()
        assert page.headers["content-language"] == "de"

    def test_is_english_where_we_speak_none_of_the_browsers(self, client: Client, db: None):
        page = client.get("/signin", headers={"accept-language": "tlh"})

        assert 'lang="en"' in page.content.decode()

    def test_is_the_accounts_whatever_the_browser_says(self, client: Client, alice: User):
        User.objects.filter(pk=alice.pk).update(language="de")
        client.force_login(alice)

        page = client.get("/keys", headers={"accept-language": "en"})

        assert "API-Schlüssel" in page.content.decode()

    def test_outlives_the_session_in_a_cookie(self, client: Client, alice: User):
        client.force_login(alice)
        client.post("/settings", {"language": "de"})
        client.post("/signout")

        page = client.get("/signin", headers={"accept-language": "en"})

        assert "Anmelden" in page.content.decode()

    def test_is_said_of_errors_too(self, client: Client, alice: User):
        page = client.post(
            "/signup",
            {"username": "ALICE", "password": PASSWORD},
            headers={"accept-language": "de"},
        )

        assert "Dieser Benutzername ist vergeben." in page.content.decode()


def test_the_api_speaks_english_to_every_browser(client: Client, db: None):
    answer = client.post(
        "/api/v1/auth/token", {}, "application/json", headers={"accept-language": "de"}
    )

    assert answer.json()["details"]["username"] == ["This field is required."]
    assert "content-language" not in answer.headers


def test_a_language_is_chosen_in_the_settings(signed_in: Page):
    signed_in.goto("/settings")
    signed_in.get_by_label("Language").select_option("Deutsch")
    signed_in.get_by_role("button", name="Save").click()

    expect(signed_in.get_by_text("Gespeichert.")).to_be_visible()
    expect(signed_in.get_by_role("heading", name="Einstellungen")).to_be_visible()


@pytest.mark.parametrize(
    "path", ["/start", "/settings", "/keys/new", "/playground?example=1", "/usage"]
)
def test_pages_read_from_right_to_left_fit_a_phone(signed_in: Page, path: str):
    signed_in.set_viewport_size({"width": 360, "height": 740})
    signed_in.goto(path)

    signed_in.evaluate("() => { document.documentElement.dir = 'rtl' }")

    assert signed_in.evaluate("() => document.documentElement.scrollWidth") == 360
    menu = signed_in.get_by_role("button", name="Open the sidebar").bounding_box()
    assert menu is not None
    assert menu["x"] > 180
