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
from proxy.upstream import builtin, builtin_server, builtin_state

try:
    builtin.weights()
    IS_INSTALLED = True
except ModelUnavailable:
    IS_INSTALLED = False

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# A process that tries the model, and says what came of it.
TRIAL = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from proxy.upstream import builtin
print(builtin.try_once() or "it works")
"""

# Where the loader finds OpenMP's library; nothing where it has none.
OPENMP = """
import ctypes, contextlib
with contextlib.suppress(OSError):
    ctypes.CDLL("libgomp.so.1")
    print(next(line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line))
"""

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
def no_operators_server(settings: LazySettings, tmp_path: Path) -> None:
    settings.C1_BASE_URL = ""
    # Where it is remembered how a start went.
    settings.DATA_DIR = tmp_path


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


def openmp_of_the_system() -> str:
    shown = subprocess.run([sys.executable, "-c", OPENMP], capture_output=True, text=True)
    return shown.stdout.strip()


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


def ends_by(code: str) -> Callable[[], subprocess.Popen[bytes]]:
    """Return what starts a child that does this instead of answering."""

    def spawn() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", f"import os, signal; {code}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    return spawn


class TestAStartThatFails:
    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("os.kill(os.getpid(), signal.SIGILL)", "processor lacks"),
            ("os.kill(os.getpid(), signal.SIGKILL)", "want of memory"),
            ("os._exit(1)", "want of memory"),
            (
                """print('{"error": "ImportError: libx.so.6: cannot open shared object file"}')""",
                "has no libx.so.6",
            ),
            ("""print('{"error": "OSError: /home/me/secret"}')""", "server's log says why"),
        ],
    )
    async def test_says_why_without_a_path_and_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, code: str, words: str
    ) -> None:
        monkeypatch.setattr(builtin, "weights", lambda: Path("any.gguf"))
        monkeypatch.setattr(builtin, "_spawn", ends_by(code))

        with pytest.raises(ModelUnavailable) as raised:
            await builtin.endpoint()

        assert words in raised.value.message
        assert "/home" not in raised.value.message
        assert "ALCHEMYST_C1_BASE_URL" in raised.value.message

    async def test_is_heard_where_it_ended_before_it_was_told_what_to_serve(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ended() -> subprocess.Popen[bytes]:
            child = ends_by("""print('{"error": "OSError: no such file"}')""")()
            child.wait()
            return child

        monkeypatch.setattr(builtin, "weights", lambda: Path("any.gguf"))
        monkeypatch.setattr(builtin, "_spawn", ended)

        with pytest.raises(ModelUnavailable, match="server's log says why"):
            await builtin.endpoint()

    async def test_says_the_same_to_who_comes_while_it_rests(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(builtin, "weights", lambda: Path("any.gguf"))
        monkeypatch.setattr(builtin, "_spawn", ends_by("os.kill(os.getpid(), signal.SIGILL)"))
        with pytest.raises(ModelUnavailable) as first:
            await builtin.endpoint()

        with pytest.raises(ModelUnavailable) as second:
            await builtin.endpoint()

        assert second.value.message == first.value.message

    async def test_is_remembered_by_the_installation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(builtin, "weights", lambda: Path("any.gguf"))
        monkeypatch.setattr(builtin, "_spawn", ends_by("os.kill(os.getpid(), signal.SIGILL)"))

        with pytest.raises(ModelUnavailable) as raised:
            await builtin.endpoint()

        monkeypatch.setattr(builtin_state, "_last", "")
        assert builtin_state.recall() == builtin_state.State("unavailable", raised.value.message)


class TestWhatIsRemembered:
    def test_is_nothing_before_the_first_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(builtin_state, "_last", "")

        assert builtin_state.recall().status == "untried"

    def test_is_of_these_versions_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        builtin_state.remember("It did not work.")

        monkeypatch.setattr(builtin_state, "_made_of", lambda: "another version")

        assert builtin_state.recall().status == "untried"

    def test_is_of_the_process_where_the_folder_cannot_be_written(
        self, settings: LazySettings
    ) -> None:
        settings.DATA_DIR = Path("/proc/nowhere")

        builtin_state.remember("It did not work.")

        assert builtin_state.recall() == builtin_state.State("unavailable", "It did not work.")


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

    def test_is_tried_with_a_token_and_ended(self) -> None:
        assert builtin.try_once() == ""

        assert builtin_state.recall().status == "ok"
        assert builtin._own.running() is None

    @on_linux
    def test_runs_where_the_system_has_no_openmp(self) -> None:
        if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
            pytest.skip("only root can hide a library from a process")
        hide = f"mount --bind /dev/null '{place}' && " if (place := openmp_of_the_system()) else ""

        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f'{hide} exec "$0" -c "$1"', sys.executable, TRIAL],
            capture_output=True,
            text=True,
        )

        assert done.stdout == "it works\n", done.stderr

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
