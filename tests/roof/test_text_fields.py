"""A field of text takes a text: a number or a truth value is refused, not written down as one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from django.urls import get_resolver
from rest_framework import serializers

PACKAGES = ("alchemyst", "chats", "personas", "proxy")
NO_TEXTS = (5, 1.5, True)


def ours() -> list[type[serializers.BaseSerializer]]:
    """Every serializer of the application that stands for a body; the URL conf imports them."""
    assert get_resolver().url_patterns
    kinds, waiting = [], [serializers.Serializer]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        is_abstract = issubclass(kind, serializers.ModelSerializer) and not hasattr(kind, "Meta")
        if kind.__module__.partition(".")[0] in PACKAGES and not is_abstract:
            kinds.append(kind)
    return sorted(set(kinds), key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


def fields_of_text(field: serializers.Field, path: str = "") -> Iterator[tuple[str, object]]:
    """The writable fields of text of a serializer, and of all that it is made of."""
    if field.read_only:
        return
    if isinstance(field, serializers.CharField):
        yield path, field
    for name, inner in getattr(field, "fields", {}).items():
        yield from fields_of_text(inner, f"{path}.{name}")
    if child := getattr(field, "child", None):
        yield from fields_of_text(child, f"{path}[]")


@pytest.mark.parametrize("kind", ours(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_no_serializer_takes_for_text_what_is_none(kind: type[serializers.Serializer]):
    taken = []
    for path, field in fields_of_text(kind()):
        for value in NO_TEXTS:
            try:
                field.run_validation(value)
            except serializers.ValidationError:
                continue
            taken.append((path, value))

    assert taken == []


def test_the_serializers_that_read_bodies_are_among_them():
    names = {kind.__name__ for kind in ours()}

    assert {
        "NewChatSerializer",
        "AnswerSerializer",
        "PersonaSerializer",
        "ProviderSerializer",
    } <= names
    assert {"RegisterSerializer", "ApiKeySerializer"} <= names


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "chat/new", {"title": 5, "messages": []}, "title"),
        ("POST", "chat/new", {"messages": [{"role": "user", "content": 5}]}, "messages"),
        (
            "POST",
            "chat/generate",
            {"chat_history": [{"role": "user", "content": 5}]},
            "chat_history",
        ),
        ("POST", "personas", {"slug": "s", "name": 5}, "name"),
        ("POST", "providers", {"name": "n", "base_url": 5, "key": "k"}, "base_url"),
        ("POST", "auth/keys", {"name": 5, "scopes": ["proxy"]}, "name"),
        ("POST", "auth/token", {"username": 5, "password": "x"}, "username"),
    ],
)
def test_a_number_in_place_of_a_text_is_a_400_that_names_it(
    http: requests.Session, server: str, method: str, path: str, body: object, field: str
):
    answer = http.request(method, f"{server}/api/v1/{path}", json=body)

    assert answer.status_code == 400
    assert field in answer.json()["details"]
