"""Which provider a path names: every spelling of it, and none that hides another."""

from __future__ import annotations

import pytest

from proxy.errors import InvalidTarget
from proxy.upstream import target


@pytest.mark.parametrize(
    "path",
    [
        "https://api.example.com/v1/sk-1",
        "https:/api.example.com/v1/sk-1",
        "https:///api.example.com/v1/sk-1",
        "https%3A%2F%2Fapi.example.com%2Fv1/sk-1",
        "https%3a%2f%2fapi.example.com%2fv1/sk-1",
        "https:%2F%2Fapi.example.com%2Fv1/sk-1",
        "https%3A//api.example.com/v1/sk-1",
        "https%3A%2F%2Fapi.example.com%2Fv1%2Fsk-1",
        "HTTPS://API.Example.com./v1//sk-1",
        "https://api.example.com:443/v1/sk-1",
        "api.example.com/v1/sk-1",
        "api.example.com:443/v1/sk%2D1",
    ],
)
def test_every_spelling_names_the_same_provider(path: str):
    named = target.read(path, None)

    assert named.base == target.Base("https", "api.example.com", 443, "/v1")
    assert str(named.base) == "https://api.example.com/v1"
    assert named.key == "sk-1"


def test_with_a_key_in_the_header_the_whole_path_is_the_url():
    named = target.read("https://api.example.com/openai/v1", "sk-1")

    assert named.base.path == "/openai/v1"
    assert named.key == "sk-1"


def test_an_address_in_brackets_is_a_host():
    named = target.read("http://[2606:4700::1111]:8080/v1/sk-1", None)

    assert (named.base.host, named.base.port) == ("2606:4700::1111", 8080)
    assert named.base.authority == "[2606:4700::1111]:8080"


def test_a_name_in_another_script_becomes_ascii():
    assert target.base_of("https://bücher.example/v1").host == "xn--bcher-kva.example"


def test_a_path_with_blanks_is_encoded_again():
    assert target.read("https://api.example.com/my%20models/sk-1", None).base.path == "/my%20models"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "sk-1",
        "/sk-1",
        "https://sk-1",
        "https:///sk-1",
        "ftp://host.example/v1/sk-1",
        "file:///etc/passwd/sk-1",
        "javascript:alert(1)/sk-1",
        "https://user:pass@host.example/v1/sk-1",
        "https://host.example@evil.example/v1/sk-1",
        "https://host.example%40evil.example/v1/sk-1",
        "https://host.example:99999/v1/sk-1",
        "https://host.example:0/v1/sk-1",
        "https://host.example:port/v1/sk-1",
        "https://host.example/v1/../admin/sk-1",
        "https://host.example/v1/./x/sk-1",
        "https://host.example/v1%2F..%2Fadmin/sk-1",
        "https://host.example/v1%3Fa=b/sk-1",
        "https://host.example/v1%23a/sk-1",
        "https://host.example%5C@evil.example/v1/sk-1",
        "https://host.example%00.evil.example/v1/sk-1",
        "https://host.example%0d%0aX-Evil:1/v1/sk-1",
        "https://host_.example%20/v1/sk-1",
        "https://-host.example/v1/sk-1",
        "https://host..example/v1/sk-1",
        "https://[::1%25eth0]/v1/sk-1",
        "https://[not-an-address]/v1/sk-1",
        "https://host.example/v1/%0d%0aX-Evil:%201",
        "https://host.example/v1/sk%20with%20blanks",
        "https://host.example/v1/sch%C3%BCssel",
        "https://" + "a" * 64 + ".example/v1/sk-1",
    ],
)
def test_what_is_no_clean_url_is_refused(path: str):
    with pytest.raises(InvalidTarget):
        target.read(path, None)


@pytest.mark.parametrize(
    "path",
    [
        "https://api.example.com/v1",
        "http:/localhost:11434/V1",
        "https%3A%2F%2Fhost.example%2Fv1beta",
    ],
)
def test_the_end_of_a_base_url_is_no_key(path: str):
    with pytest.raises(InvalidTarget, match="X-Upstream-Api-Key"):
        target.read(path, None)


def test_a_target_never_shows_its_key():
    assert "sk-1" not in repr(target.read("https://host.example/v1/sk-1", None))


class TestAStoredProvider:
    """Its base URL and an endpoint of any dialect make one URL, with one version."""

    @pytest.mark.parametrize(
        ("base", "dialect", "endpoint", "path"),
        [
            # Both name a version.
            ("https://openrouter.ai/api/v1", "openai", "/v1/messages", "/api/v1/messages"),
            ("https://api.openai.com/v1", "openai", "/v1/models/gpt-5", "/v1/models/gpt-5"),
            ("https://api.example.com/v2", "openai", "/v1/messages", "/v1/messages"),
            ("https://api.anthropic.com/v1", "anthropic", "/v1/messages", "/v1/messages"),
            (
                "https://generativelanguage.googleapis.com/v1beta/openai",
                "openai",
                "/v1beta/models/g:generateContent",
                "/v1beta/models/g:generateContent",
            ),
            # One of them does.
            ("https://api.anthropic.com", "anthropic", "/v1/messages", "/v1/messages"),
            ("https://api.z.ai/api/anthropic", "anthropic", "/v1/messages",
             "/api/anthropic/v1/messages"),
            ("https://api.deepseek.com", "openai", "/v1/messages", "/v1/messages"),
            ("https://api.openai.com/v1", "openai", "/responses", "/v1/responses"),
            ("https://api.openai.com/v1", "responses", "/chat/completions", "/v1/chat/completions"),
            ("https://api.anthropic.com/v1", "anthropic", "/chat/completions",
             "/v1/chat/completions"),
            (
                "https://generativelanguage.googleapis.com",
                "gemini",
                "/v1beta/models/g:generateContent?alt=sse",
                "/v1beta/models/g:generateContent?alt=sse",
            ),
            # Neither does.
            ("https://api.deepseek.com", "openai", "/chat/completions", "/chat/completions"),
            ("https://api.anthropic.com", "anthropic", "/chat/completions", "/v1/chat/completions"),
            (
                "https://generativelanguage.googleapis.com",
                "gemini",
                "/chat/completions",
                "/v1beta/openai/chat/completions",
            ),
        ],
    )  # fmt: skip
    def test_is_asked_at(self, base: str, dialect: str, endpoint: str, path: str):
        asked = target.base_for(target.base_of(base), dialect, endpoint)

        assert asked.path + endpoint == path
        assert asked.authority == target.base_of(base).authority
