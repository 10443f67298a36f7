"""Each route that is served stands in the schema, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator

from chats.streaming import routes
from proxy import wire
from proxy.gateway import decision_records as records
from proxy.gateway import preview
from proxy.wire import gemini
from proxy.wire.openai import routes as openai_routes

API = "api/v1/"
CHAT, PROXY = f"/{API}chat", f"/{API}proxy/"
Operation = tuple[str, str]
EXAMPLES = {
    "target": "https://api.openai.com/v1",
    "version": "v1beta",
    "model": "gemini-2.5-flash",
    "task": "generateContent",
    "id": "req_00000000",
}


@pytest.fixture(scope="module")
def schema() -> set[Operation]:
    """The method and the path of each operation."""
    paths = SchemaGenerator().get_schema(public=True)["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def nameless(path: str) -> str:
    """A path whose variables have no names."""
    return re.sub(r"\{\w+\}|\(\[\^/\]\+\)", "{}", path)


def of_chats() -> set[Operation]:
    return {(method, nameless(routes.PREFIX + path)) for path, method, _ in routes.ENDPOINTS}


def of_django() -> set[Operation]:
    enumerator = EndpointEnumerator(patterns=[])
    return {
        (method, nameless(enumerator.get_path_from_regex(f"/{route}")))
        for route, view in _routes(get_resolver().url_patterns)
        if route.startswith(API) and not route.endswith("/")
        for method in enumerator.get_allowed_methods(view)
    }


def _routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route, pattern.callback


def test_off_the_proxy_the_schema_has_what_is_served_and_nothing_else(schema: set[Operation]):
    described = {(method, nameless(path)) for method, path in schema if not path.startswith(PROXY)}

    assert described == of_chats() | of_django()


def test_the_streaming_endpoints_take_no_path_from_django():
    assert not of_chats() & of_django()


def test_a_slash_at_the_end_leads_to_the_same_view_as_none():
    views = {
        route: view.cls
        for route, view in _routes(get_resolver().url_patterns)
        if route.startswith(API)
    }

    assert {route for route in views if route.endswith("/")} == {
        f"{route}/" for route in views if not route.endswith("/")
    }
    assert all(views[route] is views[f"{route}/"] for route in views if not route.endswith("/"))


def test_each_operation_on_the_proxy_is_served(schema: set[Operation]):
    for method, path in schema:
        if not path.startswith(PROXY):
            continue
        path_on_proxy = path.removeprefix(PROXY).format(**EXAMPLES)
        if path_on_proxy.startswith(records.PREFIX):
            assert method == "GET"
            continue
        scope = {"method": method, "query_string": b"", "headers": []}
        route = wire.spoken_at(path_on_proxy, scope).route(
            preview.spelled_out(path_on_proxy), scope
        )
        assert route is not None, path
        assert route.method == method


def test_each_route_of_the_proxy_stands_in_the_schema(schema: set[Operation]):
    resource = "{target}/{version}/models"
    routes = {
        (method, f"{{target}}/{path}") for path, (method, _) in openai_routes.ENDPOINTS.items()
    } | {
        ("GET", resource),
        ("GET", f"{resource}/{{model}}"),
        ("POST", f"{resource}/{{model}}:{{task}}"),
        ("POST", "{target}/v1/messages"),
        ("POST", "{target}/v1/messages/count_tokens"),
        ("POST", "{target}/responses"),
        ("POST", preview.NAME),
        ("POST", f"{preview.NAME}/v1/messages"),
        ("POST", f"{preview.NAME}/v1/responses"),
        ("POST", f"{preview.NAME}/v1beta/models/{{model}}:generateContent"),
        ("GET", f"{records.PREFIX}{{id}}"),
    }

    described = {(method, path.removeprefix(PROXY)) for method, path in schema if PROXY in path}

    assert described == routes


def test_the_schema_names_the_tasks_whose_history_is_filtered():
    document = SchemaGenerator().get_schema(public=True)

    operation = document["paths"][f"{PROXY}{{target}}/{{version}}/models/{{model}}:{{task}}"][
        "post"
    ]

    (task,) = (each for each in operation["parameters"] if each["name"] == "task")
    assert set(gemini.FILTERED) <= set(task["schema"]["enum"])
