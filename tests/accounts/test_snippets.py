"""The lines beside a new key work as they are pasted."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from alchemyst.accounts.models import ApiKey, User
from alchemyst.accounts.pages.snippets import snippets
from tests.fakes import FakeProvider

KEY_OF_THE_PROVIDER = "sk-provider-1234"


@pytest.fixture
def lines(server: str, alice: User) -> dict[str, str]:
    """The snippets for a key of Alice's, by title."""
    _, key = ApiKey.make(alice, name="laptop", scopes=["proxy"])
    return dict(snippets(f"{server}/api/v1/proxy", key))


@pytest.mark.parametrize(
    ("title", "url", "behaviour", "placeholder"),
    [
        ("Python, openai", "https://api.openai.com/v1", "/v1", "sk-..."),
        ("Python, anthropic", "https://api.anthropic.com", "/anthropic", "sk-ant-..."),
        (
            "Python, google-genai",
            "https://generativelanguage.googleapis.com",
            "/gemini",
            "AIza...",
        ),
    ],
)
def test_with_an_sdk(
    lines: dict[str, str],
    provider: FakeProvider,
    title: str,
    url: str,
    behaviour: str,
    placeholder: str,
):
    code = lines[title]
    assert url in code
    assert placeholder in code

    pasted = code.replace(url, provider.url + behaviour).replace(placeholder, KEY_OF_THE_PROVIDER)
    exec(pasted, {})

    assert "Hello!" in provider.last().body.decode()
    assert KEY_OF_THE_PROVIDER in str(provider.last().headers)


@pytest.mark.model
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not found")
@pytest.mark.slow
def test_with_curl(lines: dict[str, str]):
    done = subprocess.run(["sh", "-c", lines["curl"]], capture_output=True, text=True, timeout=120)

    assert '"choices"' in done.stdout
