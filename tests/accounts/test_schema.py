from __future__ import annotations

import pytest
from drf_spectacular.generators import SchemaGenerator

PREFIX = "/api/v1/auth/"


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator().get_schema(public=True)


def test_names_every_endpoint_once(schema):
    paths = {path.removeprefix(PREFIX) for path in schema["paths"] if path.startswith(PREFIX)}

    assert paths == {
        "register", "token", "token/refresh", "token/verify", "logout", "keys", "keys/{key_id}",
    }  # fmt: skip


def test_tells_what_each_answers_and_how_it_refuses(schema):
    for path, operations in schema["paths"].items():
        if not path.startswith(PREFIX):
            continue
        for method, operation in operations.items():
            statuses = set(operation["responses"])
            assert statuses & {"200", "201", "204"}, (path, method)
            assert "429" in statuses
            refused = operation["responses"]["429"]["content"]["application/json"]["schema"]
            assert refused == {"$ref": "#/components/schemas/Error"}


def test_asks_for_a_bearer_token_where_one_is_needed(schema):
    assert schema["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert schema["paths"][f"{PREFIX}keys"]["get"]["security"] == [{"bearer": []}]
    assert {} in schema["paths"][f"{PREFIX}token"]["post"].get("security", [{}])


def test_shows_a_new_key_in_the_one_answer_that_has_it(schema):
    created = schema["components"]["schemas"]["NewApiKey"]["properties"]
    listed = schema["components"]["schemas"]["ApiKey"]["properties"]

    assert "key" in created
    assert "key" not in listed
    assert "digest" not in listed
