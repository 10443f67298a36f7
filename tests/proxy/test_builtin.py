"""The built-in model: started on first use, shared, and gone with the process that started it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from django.conf import LazySettings

from proxy.errors import ModelUnavailable
from proxy.upstream import builtin, builtin_server

try:
    builtin.weights()
    IS_INSTALLED = True
except ModelUnavailable:
    IS_INSTALLED = False

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# A process that starts the model and then waits to be killed.
PARENT = """
import asyncio, os, time
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from proxy.upstream import builtin
asyncio.run(builtin.endpoint())
print(builtin._own._process.pid, flush=True)
time.sleep(120)
"""


@pytest.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    """No server before a test, and none after it."""
    await builtin.close()
    yield
    await builtin.close()
    builtin._own._rests_until = 0.0


@pytest.fixture(autouse=True)
def no_operators_server(settings: LazySettings) -> None:
    settings.C1_BASE_URL = ""


def pid() -> int:
    """The process id of our own server."""
    assert builtin._own._process is not None
    return builtin._own._process.pid


async def asked(
    own: builtin.Endpoint, words: str, *, key: str | None = None, **more: Any
) -> tuple[int, str]:
    """Ask for a completion; returns the status and the body."""
    body = {"model": own.model, "messages": [{"role": "user", "content": words}]} | more
    headers = {"Authorization": f"Bearer {own.api_key if key is None else key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(f"{own.base_url}/chat/completions", json=body) as response,
    ):
        return response.status, await response.text()


async def comes_true(condition: Callable[[], object], *, within: float) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.05)
    return False


def is_alive(process: int) -> bool:
    """Whether a process runs; one that ended and was not yet asked for its result does not."""
    return shown(process, "stat").rpartition(")")[2].split()[:1] not in ([], ["Z"])


def shown(process: int, file: str) -> str:
    """What Linux shows of a process; nothing once it has ended."""
    try:
        return Path(f"/proc/{process}/{file}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class TestWithoutWeights:
    async def test_says_how_to_install_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(builtin, "WEIGHTS_PACKAGE", "weights_of_nobody")

        with pytest.raises(ModelUnavailable, match="make setup"):
            await builtin.endpoint()

    async def test_that_cannot_be_loaded_fails_at_once_the_second_time(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(b"GGUF, but not really")
        monkeypatch.setattr(builtin, "weights", lambda: broken)
        with pytest.raises(ModelUnavailable):
            await builtin.endpoint()

        monkeypatch.setattr(builtin, "_spawn", lambda: pytest.fail("started again"))
        with pytest.raises(ModelUnavailable):
            await builtin.endpoint()

    @pytest.mark.slow
    async def test_a_start_that_hangs_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def hanging() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-c", "import time; time.sleep(60)"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )

        monkeypatch.setattr(builtin, "weights", lambda: Path("any.gguf"))
        monkeypatch.setattr(builtin, "_spawn", hanging)
        monkeypatch.setattr(builtin, "START_SECONDS", 0.3)

        with pytest.raises(ModelUnavailable):
            await builtin.endpoint()

        assert builtin._own._process is None


class TestTheOperatorsServer:
    async def test_is_used_by_settings_alone(
        self, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.C1_BASE_URL = "http://models.internal:8000/v1/"
        settings.C1_API_KEY = "sk-operator"
        settings.C1_MODEL = "qwen"
        monkeypatch.setattr(builtin, "_spawn", lambda: pytest.fail("started our own"))

        own = await builtin.endpoint()

        assert own == builtin.Endpoint("http://models.internal:8000/v1", "sk-operator", "qwen")
        assert "sk-operator" not in repr(own)


def test_the_list_has_the_one_model() -> None:
    assert [model["id"] for model in builtin.models()["data"]] == [builtin.MODEL]


@pytest.mark.model
@pytest.mark.skipif(not IS_INSTALLED, reason="the weights of the built-in model are not installed")
@pytest.mark.slow
class TestOurOwn:
    async def test_starts_on_first_use_and_answers(self) -> None:
        own = await builtin.endpoint()

        status, body = await asked(own, "Say hello.", max_tokens=8)

        answer = json.loads(body)
        assert status == 200
        assert answer["model"] == builtin.MODEL
        assert answer["choices"][0]["message"]["content"]
        assert answer["usage"]["completion_tokens"] <= 8

    async def test_streams_in_openais_shape(self) -> None:
        own = await builtin.endpoint()

        _, body = await asked(
            own, "Say hello.", max_tokens=8, stream=True, stream_options={"include_usage": True}
        )

        *events, last = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
        first, *_, end, usage = [json.loads(event) for event in events]
        assert last == "[DONE]"
        assert first["choices"][0]["delta"]["role"] == "assistant"
        assert end["choices"][0]["finish_reason"] in ("stop", "length")
        assert usage["usage"]["total_tokens"] > 0

    async def test_of_several_first_callers_one_starts_it(self) -> None:
        owns = await asyncio.gather(*(builtin.endpoint() for _ in range(20)))

        assert len(set(owns)) == 1

    async def test_a_first_caller_who_leaves_spoils_nothing_for_the_others(self) -> None:
        leaving = asyncio.create_task(builtin.endpoint())
        staying = asyncio.create_task(builtin.endpoint())
        await asyncio.sleep(0.05)
        leaving.cancel()

        status, _ = await asked(await staying, "Say hello.", max_tokens=2)

        assert status == 200

    async def test_four_callers_at_once_all_get_answers(self) -> None:
        own = await builtin.endpoint()

        answers = await asyncio.gather(
            *(asked(own, f"Count to {number}.", max_tokens=16) for number in range(4))
        )

        assert [status for status, _ in answers] == [200] * 4

    @pytest.mark.parametrize("key", ["", "wrong"])
    async def test_refuses_a_wrong_key(self, key: str) -> None:
        own = await builtin.endpoint()

        status, body = await asked(own, "Say hello.", key=key)

        assert status == 401
        assert json.loads(body)["error"]["type"] == "authentication_error"

    @on_linux
    async def test_tells_the_key_to_nobody_on_the_machine(self) -> None:
        own = await builtin.endpoint()

        assert own.api_key not in repr(own)
        assert own.api_key not in shown(pid(), "cmdline") + shown(pid(), "environ")

    @on_linux
    async def test_knows_none_of_the_applications_secrets(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALCHEMYST_SECRET_KEY", "a-secret-of-ours")
        await builtin.endpoint()

        assert "a-secret-of-ours" not in shown(pid(), "environ")

    async def test_refuses_a_conversation_longer_than_its_context(self) -> None:
        own = await builtin.endpoint()

        status, body = await asked(own, "word " * (builtin_server.CONTEXT + 100))

        assert status == 400
        assert json.loads(body)["error"]["type"] == "exceed_context_size_error"

    async def test_lets_go_when_a_caller_leaves(self) -> None:
        own = await builtin.endpoint()
        for _ in range(builtin_server.SLOTS):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asked(own, "Write a story.", max_tokens=3000, ignore_eos=True)

        async with asyncio.timeout(20):
            status, _ = await asked(own, "Say hello.", max_tokens=2)

        assert status == 200

    @on_linux
    async def test_ends_when_closed(self) -> None:
        own = await builtin.endpoint()
        process = pid()

        await builtin.close()

        assert not is_alive(process)
        with pytest.raises(aiohttp.ClientConnectionError):
            await asked(own, "Say hello.")

    @on_linux
    async def test_comes_back_after_a_crash(self) -> None:
        before = await builtin.endpoint()
        os.kill(pid(), signal.SIGKILL)
        assert await comes_true(lambda: not builtin._own.running(), within=5)

        after = await builtin.endpoint()

        assert after != before
        assert (await asked(after, "Say hello.", max_tokens=2))[0] == 200

    @on_linux
    async def test_ends_with_the_process_that_started_it(self) -> None:
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE
        )
        assert parent.stdout is not None
        process = int(await parent.stdout.readline())
        assert is_alive(process)

        parent.kill()
        await parent.wait()

        assert await comes_true(lambda: not is_alive(process), within=5)

    async def test_is_shared_by_event_loops(self) -> None:
        own = await builtin.endpoint()

        other = await asyncio.to_thread(lambda: asyncio.run(builtin.endpoint()))

        assert other == own
