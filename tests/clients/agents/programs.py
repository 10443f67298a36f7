"""Coding agents as people run them, but headless, in a home of their own, without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.clients.agents.script import NOTES, Tool

MODULES = Path(__file__).parent / "node_modules"
KEY = "sk-provider-1"
SESSION = "11111111-2222-4333-8444-555555555555"
SECONDS = 100

# What is not on loopback fails at once: nobody listens at the discard port.
SURROUNDINGS = {
    "PATH": os.environ["PATH"],
    "TZ": "UTC",
    "TERM": "dumb",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}
ADDRESS = re.compile(r"(http://)?127\.0\.0\.1:\d+[^\s)]*")


@dataclass(frozen=True)
class Way:
    """How an agent reaches the provider: straight, or with a token of ours through the proxy."""

    base: str
    """What stands before `/v1`, or before `/v1beta`."""
    token: str = ""
    has_key: bool = True
    """Whether the provider's key is sent beside the token, since the proxy has none stored."""


@dataclass(frozen=True)
class Outcome:
    """What a run of a program came to."""

    code: int
    words: str
    """Its answer, or its words for what went wrong, without addresses."""


class Agent:
    """A program in an empty home and a folder with one file."""

    name: ClassVar[str]
    tool: ClassVar[Tool]
    files: ClassVar[str]
    """Where the program is to be found, as a pattern."""

    def __init__(self, place: Path, way: Way) -> None:
        self.home, self.folder, self.way = place / "home", place / "work", way
        shutil.rmtree(place, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.folder.mkdir()
        (self.folder / "notes.txt").write_text(NOTES)
        for path, text in self.configuration().items():
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            (self.home / path).write_text(text)

    @classmethod
    def program(cls) -> Path | None:
        return next(iter(MODULES.glob(cls.files)), None)

    def ask(self, question: str, *, goes_on: bool = False) -> Outcome:
        """Run the program with a question, and wait for its end."""
        done = subprocess.run(
            [str(self.program()), *self.arguments(question, goes_on)],
            cwd=self.folder,
            env=SURROUNDINGS
            | {"HOME": str(self.home), "TMPDIR": str(self.home)}
            | dict(self.environment()),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        words = ADDRESS.sub("", self.words(done.stdout, done.stderr))
        return Outcome(done.returncode, words)

    def words(self, output: str, errors: str) -> str:
        """What a person is told, of all that a run wrote."""
        raise NotImplementedError

    def configuration(self) -> Mapping[str, str]:
        return {}

    def environment(self) -> Mapping[str, str]:
        return {}

    def arguments(self, question: str, goes_on: bool) -> list[str]:
        raise NotImplementedError


def _lines(output: str) -> list[Any]:
    """The events that a program writes, one to a line."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


class ClaudeCode(Agent):
    name = "Claude Code"
    tool = Tool("Bash", lambda command: {"command": command, "description": "Look"})
    files = "@anthropic-ai/claude-code-*/claude"

    def environment(self) -> Mapping[str, str]:
        token, shown = self.way.token, f"X-Upstream-Api-Key: {KEY}"
        return {
            "ANTHROPIC_BASE_URL": self.way.base,
            "ANTHROPIC_AUTH_TOKEN": token or KEY,
            "ANTHROPIC_CUSTOM_HEADERS": shown if token and self.way.has_key else "",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "DISABLE_AUTOUPDATER": "1",
        }

    def arguments(self, question: str, goes_on: bool) -> list[str]:
        session = ["--continue"] if goes_on else ["--session-id", SESSION]
        options = ["--model", "claude-test", "--allowedTools", "Bash", "--output-format", "json"]
        return ["--print", *session, *options, "--", question]

    def words(self, output: str, errors: str) -> str:
        return json.loads(output)["result"]


class Codex(Agent):
    name = "Codex"
    tool = Tool("exec_command", lambda command: {"cmd": command})
    files = "@openai/codex-*/vendor/*/bin/codex"
    has_websocket = False

    def configuration(self) -> Mapping[str, str]:
        shown = '"X-Upstream-Api-Key" = "OPENAI_API_KEY"' if self.way.token else ""
        return {
            ".codex/config.toml": f"""
model = "gpt-test"
model_provider = "tested"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.tested]
name = "Tested"
base_url = "{self.way.base}/v1"
wire_api = "responses"
env_key = "TESTED_KEY"
env_http_headers = {{ {shown} }}
request_max_retries = 1
stream_max_retries = 1
supports_websockets = {str(self.has_websocket).lower()}
"""
        }

    def environment(self) -> Mapping[str, str]:
        return {"TESTED_KEY": self.way.token or KEY, "OPENAI_API_KEY": KEY}

    def arguments(self, question: str, goes_on: bool) -> list[str]:
        options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json"]
        session = ["resume", "--last"] if goes_on else []
        return ["exec", *session, *options, question]

    def words(self, output: str, errors: str) -> str:
        events = _lines(output)
        failures = [it["error"]["message"] for it in events if it["type"] == "turn.failed"]
        items = [it["item"] for it in events if it["type"] == "item.completed"]
        said = [item["text"] for item in items if item["type"] == "agent_message"]
        return [*said, *failures][-1]


class CodexByWebsocket(Codex):
    """Codex as it speaks with OpenAI itself: a WebSocket is tried first."""

    has_websocket = True


class OpenCode(Agent):
    """opencode by the AI SDK's packages: Anthropic's, or OpenAI's, which speaks Responses."""

    name = "opencode"
    tool = Tool("bash", lambda command: {"command": command, "description": "Look"})
    files = "opencode-*/bin/opencode"
    provider = "anthropic"

    def configuration(self) -> Mapping[str, str]:
        options = {"baseURL": f"{self.way.base}/v1", "apiKey": "{env:TESTED_KEY}"}
        if self.way.token:
            options["headers"] = {"X-Upstream-Api-Key": "{env:PROVIDER_KEY}"}
        model = {"name": "Test", "reasoning": True, "tool_call": True}
        providers = {self.provider: {"options": options, "models": {"tested": model}}}
        settings = {"share": "disabled", "autoupdate": False, "permission": "allow"}
        text = json.dumps(settings | {"provider": providers})
        return {".config/opencode/opencode.json": text}

    def environment(self) -> Mapping[str, str]:
        return {
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "TESTED_KEY": self.way.token or KEY,
            "PROVIDER_KEY": KEY,
        }

    def arguments(self, question: str, goes_on: bool) -> list[str]:
        session = ["--continue"] if goes_on else ["--title", "Bread"]
        model = ["--model", f"{self.provider}/tested"]
        return ["run", *session, *model, "--format", "json", question]

    def words(self, output: str, errors: str) -> str:
        events = _lines(output)
        failures = [it["error"]["data"]["message"] for it in events if it["type"] == "error"]
        said = [it["part"]["text"] for it in events if it["type"] == "text"]
        return [*said, *failures][-1]


class OpenCodeOfOpenai(OpenCode):
    provider = "openai"


class GeminiCli(Agent):
    name = "Gemini CLI"
    tool = Tool("run_shell_command", lambda command: {"command": command})
    files = "@google/gemini-cli/bundle/gemini.js"

    def configuration(self) -> Mapping[str, str]:
        settings = {
            "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
            "privacy": {"usageStatisticsEnabled": False},
            "security": {"auth": {"selectedType": "gemini-api-key"}},
        }
        return {".gemini/settings.json": json.dumps(settings)}

    def environment(self) -> Mapping[str, str]:
        token = self.way.token
        return {
            "GOOGLE_GEMINI_BASE_URL": self.way.base,
            "GEMINI_API_KEY": KEY,
            "GEMINI_CLI_CUSTOM_HEADERS": f"Authorization: Bearer {token}" if token else "",
        }

    def arguments(self, question: str, goes_on: bool) -> list[str]:
        session = ["--resume", "latest"] if goes_on else ["--session-id", SESSION]
        options = ["--model", "gemini-test", "--yolo", "--skip-trust", "--output-format", "json"]
        return [*options, *session, "--prompt", question]

    def words(self, output: str, errors: str) -> str:
        if output:
            return json.loads(output)["response"]
        return json.loads(errors[errors.rindex("\n{") :])["error"]["message"]
