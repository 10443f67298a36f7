"""The API answers as its schema says, whatever it is asked: requests are made of the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
import schemathesis
from django.conf import LazySettings
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, settings
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from alchemyst.accounts.models import ApiKey, User
from alchemyst.celery import in_process_runner
from chats.models import ImportJob
from proxy.models import DecisionRecord, Provider
from tests.chats.answers import persona
from tests.chats.conftest import TEA, talk
from tests.fakes import FakeProvider

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
DOCUMENT: dict[str, Any] = SchemaGenerator().get_schema(public=True)
COMPONENTS = DOCUMENT["components"]["schemas"]
PROXY_PREFIX = "/api/v1/proxy/"
SCHEMA = schemathesis.openapi.from_dict(
    DOCUMENT,
    config=schemathesis.Config.from_dict(
        {
            "seed": 1,
            "generation": {"database": "none", "deterministic": True},
            "phases": {"stateful": {"enabled": False}},
        }
    ),
)


def is_exact(path: str, operation: dict[str, Any]) -> bool:
    """Whether all that the schema does not allow is refused.

    On the proxy what isn't checked goes to the provider as it came, and a boolean may be written
    as 0 or "false" all over the API.
    """
    request = str([operation.get("parameters"), operation.get("requestBody")])
    named = [str(schema) for name, schema in COMPONENTS.items() if f"/schemas/{name}'" in request]
    return not path.startswith(PROXY_PREFIX) and "'boolean'" not in request + "".join(named)


@pytest.fixture
def known(
    alice: User, provider: FakeProvider, decision: DecisionRecord, settings: LazySettings
) -> Iterator[dict[str, str]]:
    """What stands in a path where an operation asks for something that there is."""
    settings.C1_BASE_URL = f"{provider.url}/v1"
    persona(alice, provider)
    chat = talk(alice, *TEA, title="Tea")
    target = f"{provider.url}/plain/v1"
    stored = Provider.sealed(alice.pk, name="fake", base_url=target, key="sk-1", dialect="openai")
    stored.save()
    key, _ = ApiKey.make(alice, name="key", scopes=["chat"])
    job = ImportJob.objects.create(owner=alice, lease_until=timezone.now())
    yield {
        "chat_id": str(chat.pk),
        "chatId": str(chat.pk),
        "message_id": str(chat.messages.latest("position").pk),
        "key_id": str(key.pk),
        "job_id": str(job.pk),
        "provider_id": str(stored.pk),
        "slug": "maya",
        "id": decision.request_id,
        "target": quote(target, safe=""),
    }
    # What was begun in the background needs its rows.
    assert in_process_runner.settle(20)


@SCHEMA.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_an_operation_answers_as_the_schema_says(
    case: schemathesis.Case, server: str, http: requests.Session, known: dict[str, str]
):
    if case.method != "DELETE":
        names = known.keys() & case.path_parameters.keys()
        case.path_parameters |= {name: known[name] for name in names}

    response = case.call(base_url=server, session=http)

    is_strict = is_exact(case.operation.path, case.operation.definition.raw)
    checks = [*CHECKS, negative_data_rejection] if is_strict else CHECKS
    case.validate_response(response, checks=checks)


@pytest.mark.parametrize(
    ("path", "method", "operation"),
    [
        pytest.param(path, method, operation, id=operation["operationId"])
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
        and not path.startswith((PROXY_PREFIX, "/api/v1/auth/"))
    ],
)
def test_an_unknown_field_is_refused_where_the_schema_closes_the_body(
    path: str,
    method: str,
    operation: dict[str, Any],
    server: str,
    http: requests.Session,
    known: dict[str, str],
):
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    closed = COMPONENTS[body["$ref"].rpartition("/")[2]]

    response = http.request(method, server + path.format(**known), json={"unheard": 1})

    assert closed["additionalProperties"] is False
    assert response.status_code == 400
    assert "Unknown field" in response.text


def test_the_schema_that_is_served_is_the_one_that_is_tested(server: str, http: requests.Session):
    served = http.get(f"{server}/api/schema", headers={"accept": "application/json"}).json()

    assert served["paths"].keys() == DOCUMENT["paths"].keys()
    assert served["components"]["schemas"] == COMPONENTS
