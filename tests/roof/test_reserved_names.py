"""Where a user's name stands in a path, no name may be that of a route beside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError

from personas.models import valid_slug
from proxy.gateway import decision_records, preview
from proxy.models.provider import valid_name
from proxy.upstream.endpoint import DEFAULT
from proxy.wire.openai import routes as openai_routes
from tests.routes import routes

# The converters that take what users choose, and who says what may be chosen.
NAMED: dict[str, Callable[[str], None]] = {"slug:slug": valid_slug}
# Parameters that hold no name of a user's choice: ids, random tokens, and the admin's paths.
UNNAMED = {"str:token", "uidb64", "token", "id"}


# Each in its segments.
ROUTES = [route.strip("/").split("/") for route in routes() if not route.startswith("/admin/")]


def refused(name: str, validate: Callable[[str], None]) -> bool:
    try:
        validate(name)
    except ValidationError:
        return True
    return False


def siblings(route: list[str], place: int) -> set[str]:
    """The literal segments that may stand where a route has a parameter."""
    return {
        other[place]
        for other in ROUTES
        if len(other) > place and other[:place] == route[:place] and "<" not in other[place]
    }


@pytest.mark.parametrize("route", ROUTES, ids="/".join)
def test_a_name_in_a_path_is_no_route_of_ours(route: list[str]):
    for place, segment in enumerate(route):
        parameter = segment.strip("<>")
        if segment.startswith("<") and parameter in NAMED:
            free = {name for name in siblings(route, place) if not refused(name, NAMED[parameter])}
            assert free == set()


def test_the_kinds_of_parameters_are_known():
    """A new one belongs to NAMED with its validator, unless nobody chooses what stands there."""
    parameters = {each.strip("<>") for route in ROUTES for each in route if each.startswith("<")}

    assert {each for each in parameters if not each.startswith("uuid:")} <= NAMED.keys() | UNNAMED


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            DEFAULT,
            preview.NAME,
            decision_records.PREFIX.strip("/"),
            *(endpoint.partition("/")[0] for endpoint in openai_routes.ENDPOINTS),
            *("v1", "v1alpha", "v1beta"),
            *("http", "https"),
        }
    ),
)
def test_a_stored_provider_is_called_like_nothing_else_on_the_proxys_path(name: str):
    assert refused(name, valid_name)


@pytest.mark.parametrize("name", ["openai", "my-models", "newton", "v2", "default-2"])
def test_other_names_are_free(name: str):
    assert not refused(name, valid_name)
    assert not refused(name, valid_slug)


@pytest.mark.django_db
def test_a_persona_named_like_the_page_that_makes_one_is_refused(as_alice):
    answer = as_alice.post("/api/v1/personas", {"slug": "new", "name": "New"}, format="json")

    assert answer.status_code == 400
    assert "slug" in answer.json()["details"]
