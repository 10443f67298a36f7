"""/metrics: for who has the token, with few labels, whatever callers send."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from alchemyst.operations import metrics
from proxy.models import UsageRecord
from tests.proxy.test_usage_sums import a_call, written

pytestmark = pytest.mark.django_db
TOKEN = "a-token-for-prometheus"


@pytest.fixture
def read_metrics(settings: LazySettings, client: Client):
    settings.METRICS_TOKEN = TOKEN

    def ask() -> dict[tuple[str, ...], float]:
        page = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert page.status_code == 200
        return {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(page.content.decode())
            for sample in family.samples
        }

    return ask


class TestWhoMayAsk:
    def test_is_nobody_without_a_token(self, client: Client, settings: LazySettings):
        settings.METRICS_TOKEN = ""

        assert client.get("/metrics").status_code == 404

    @pytest.mark.parametrize("given", ["", "Bearer wrong", f"Basic {TOKEN}"])
    def test_is_who_shows_it(self, client: Client, settings: LazySettings, given: str):
        settings.METRICS_TOKEN = TOKEN

        assert client.get("/metrics", headers={"Authorization": given}).status_code == 401


def test_calls_and_their_tokens_are_counted(read_metrics, alice):
    before = read_metrics()
    written(a_call(alice), a_call(alice, status=502, outcome="refused"))
    after = read_metrics()

    def grown(*name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown("alchemyst_calls_total", "2xx", "complete", "filtered") == 1
    assert grown("alchemyst_calls_total", "5xx", "filtered", "refused") == 1
    assert grown("alchemyst_context_tokens_total", "before") == 200
    assert grown("gen_ai_client_token_usage_sum", "chat", "gpt-test", "input") == 100


def test_parts_of_what_providers_counted_are_counted(read_metrics, alice):
    counts = {"written_tokens": 9, "written_for_long_tokens": 6, "reasoning_tokens": 5}
    before = read_metrics()
    written(a_call(alice, counts=counts), a_call(alice))
    after = read_metrics()

    grown = {
        part: after[key] - before.get(key, 0)
        for part in ("cached", "written", "written_for_long", "reasoning")
        for key in [("alchemyst_token_parts_total", *sorted([part, "gpt-test"]))]
    }
    assert grown == {"cached": 40, "written": 9, "written_for_long": 6, "reasoning": 5}


@pytest.mark.parametrize(
    ("endpoint", "operation"),
    [
        ("chat/completions", "chat"),
        ("messages", "chat"),
        ("responses", "chat"),
        ("streamGenerateContent", "chat"),
        ("embeddings", "embeddings"),
        ("messages/count_tokens", "other"),
        ("models", "other"),
    ],
)
def test_an_endpoint_is_told_by_what_it_does(read_metrics, alice, endpoint: str, operation: str):
    key = ("gen_ai_client_operation_duration_seconds_count", *sorted([operation, "gpt-test"]))
    before = read_metrics().get(key, 0)
    written(a_call(alice, endpoint=endpoint))

    assert read_metrics()[key] == before + 1


def test_models_that_callers_invent_are_one(read_metrics, alice, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "_models", set())
    written(*(a_call(alice, model=f"invented-{n}") for n in range(120)))

    models = {name for key in read_metrics() for name in key if name.startswith("invented-")}

    assert len(models) == metrics.MOST_MODELS


def test_no_number_names_a_user_a_key_or_a_host(read_metrics, alice):
    written(a_call(alice, key_id="k-secret", target="private.example:443"))

    text = str(read_metrics())

    assert UsageRecord.objects.exists()
    assert not any(word in text for word in ("alice", "k-secret", "private.example"))


@pytest.mark.slow
def test_several_processes_are_added_up(tmp_path: Path):
    """Two processes count, a third one tells."""
    count = (
        "from tests import settings; import django; django.setup();"
        "from alchemyst.operations import metrics; metrics.CONTEXT.labels('before').inc(21)"
    )
    tell = (
        "from tests import settings; import django; django.setup();"
        "from alchemyst.operations import metrics; from prometheus_client import generate_latest;"
        "print(generate_latest(metrics._registry()).decode())"
    )
    environment = os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    for _ in range(2):
        subprocess.run([sys.executable, "-c", count], env=environment, check=True)

    done = subprocess.run(
        [sys.executable, "-c", tell], env=environment, check=True, capture_output=True, text=True
    )

    assert 'alchemyst_context_tokens_total{stage="before"} 42.0' in done.stdout
