"""The OpenAPI schema and its page, served from our own files."""

from __future__ import annotations

import re

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_the_schema_tells_every_endpoint(client: Client):
    schema = client.get("/api/schema", headers={"accept": "application/json"}).json()

    assert schema["openapi"].startswith("3.")
    paths = schema["paths"].keys()
    assert {"/api/v1/proxy/{target}/chat/completions", "/api/v1/proxy/{target}/models"} <= paths
    assert {"/api/v1/chat", "/api/v1/chat/generate", "/api/v1/chat/generate/stream"} <= paths
    assert {"/api/v1/auth/token", "/api/v1/auth/keys", "/api/v1/auth/keys/{key_id}"} <= paths


def test_every_reference_in_the_schema_leads_somewhere(client: Client):
    schema = client.get("/api/schema", headers={"accept": "application/json"}).json()

    references = re.findall(r"'\$ref': '#/components/(\w+)/(\w+)'", str(schema))

    assert references
    for kind, name in references:
        assert name in schema["components"][kind]


def test_the_proxy_asks_for_the_same_token_as_the_rest(client: Client):
    schema = client.get("/api/schema", headers={"accept": "application/json"}).json()

    operation = schema["paths"]["/api/v1/proxy/{target}/chat/completions"]["post"]

    (name,) = operation["security"][0]
    assert name in schema["components"]["securitySchemes"]


def test_the_page_loads_nothing_from_elsewhere(client: Client):
    page = client.get("/api/docs").content.decode()

    assert "swagger-ui" in page
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)
