"""The `llm` command line, in a folder of its own."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import PIXEL
from tests.fakes import ANSWER, FakeProvider

Llm = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
TOOL = """
def get_weather(city: str) -> str:
    "The weather of a city"
    return "rain in " + city
"""


def heeds_interrupts() -> None:
    """What runs in a shell's background is started deaf to them, and so are its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path: Path, through: Callable[..., str], token: str) -> Start:
    """Starts `llm -m bread`, which asks the provider through the proxy."""

    def started(*words: str, behaviour: str = "") -> subprocess.Popen[str]:
        model = {
            "model_id": "bread",
            "model_name": "gpt-test",
            "api_base": through(behaviour),
            "api_key_name": "alchemyst",
            "supports_tools": True,
            "supports_schema": True,
            "vision": True,
        }
        # YAML reads JSON.
        (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model]))
        (tmp_path / "keys.json").write_text(json.dumps({"alchemyst": token}))
        return subprocess.Popen(
            [sys.executable, "-m", "llm", "prompt", "-m", "bread", *words],
            preexec_fn=heeds_interrupts,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "LLM_USER_PATH": str(tmp_path),
                "LLM_LOAD_PLUGINS": "",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


@pytest.fixture
def llm(start: Start) -> Llm:
    """Runs the same to its end."""

    def run(*words: str, behaviour: str = "") -> subprocess.CompletedProcess[str]:
        process = start(*words, behaviour=behaviour)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.mark.parametrize("options", [[], ["--no-stream"]], ids=["stream", "plain"])
def test_an_answer(llm: Llm, provider: FakeProvider, options: list[str]):
    done = llm("How long does bread bake?", "-s", "Be brief.", *options)

    assert (done.stdout.strip(), done.stderr) == (ANSWER, "")
    asked = provider.last().json
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert bool(asked.get("stream")) is not bool(options)


def test_a_schema(llm: Llm, provider: FakeProvider):
    done = llm("Where?", "--schema", "city str")

    assert json.loads(done.stdout) == {"city": "Paris"}
    assert provider.last().json["response_format"]["type"] == "json_schema"


def test_a_tool_and_its_results(llm: Llm, provider: FakeProvider):
    done = llm("What is the weather?", "--functions", TOOL)

    assert ANSWER in done.stdout
    called, *results = provider.last().json["messages"][-3:]
    assert [call["id"] for call in called["tool_calls"]] == ["call_0", "call_1"]
    assert [each["content"] for each in results] == ["rain in Paris", "rain in Rome"]


def test_a_picture(llm: Llm, provider: FakeProvider, tmp_path: Path):
    (tmp_path / "pixel.png").write_bytes(base64.b64decode(PIXEL))

    llm("What is it?", "-a", str(tmp_path / "pixel.png"))

    _, picture = provider.last().json["messages"][0]["content"]
    assert picture["image_url"]["url"].endswith(PIXEL)


def test_an_error_is_told_in_the_providers_words(llm: Llm):
    done = llm("Anything", behaviour="fail/400")

    assert done.returncode == 1
    assert "Failed with 400" in done.stderr


def test_being_interrupted_closes_the_provider(start: Start, provider: FakeProvider):
    process = start("Count", behaviour="slow")
    received = provider.wait_for_a_request(30)

    process.send_signal(signal.SIGINT)

    assert received.is_closed.wait(5)
    process.communicate(timeout=10)
