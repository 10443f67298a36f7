"""`manage.py filter`: what the filter would do with conversations in files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.proxy.conftest import HISTORY, completion, said

ROOT = Path(__file__).resolve().parents[2]

Written = Callable[..., str]


class Terminal(io.StringIO):
    """A stream that somebody watches."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a file and returns its path."""

    def write(content: Any, name: str = "conversation.json") -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def shown(*args: str, to: io.StringIO | None = None, **options: Any) -> str:
    out = to or io.StringIO()
    call_command("filter", *args, stdout=out, stderr=options.pop("errors", None), **options)
    return out.getvalue()


def fates(text: str) -> list[str]:
    return [each["fate"] for each in json.loads(text)["messages"]]


FATES = ["kept"] * 2 + ["dropped"] * 2 + ["protected"] * 3


class TestAFile:
    @pytest.mark.parametrize(
        "content",
        [
            completion(),
            {"messages": HISTORY},
            HISTORY,
            "\n".join(map(json.dumps, HISTORY)),
            "\ufeff" + json.dumps({"messages": HISTORY}, indent=2),
            {"contents": [
                {"role": {"assistant": "model"}.get(each["role"], "user"),
                 "parts": [{"text": each["content"]}]} for each in HISTORY
            ]},
        ],
        ids=["a body", "messages", "a list", "lines of messages", "a mark", "contents"],
    )  # fmt: skip
    def test_may_be_any_way_in_which_conversations_are_written(self, written: Written, content):
        assert fates(shown(written(content), "--json")) == FATES

    @pytest.mark.parametrize(
        "more", [{"system": "Be brief"}, {"thinking": {}}, {"stop_sequences": []}]
    )
    def test_may_be_anthropics(self, written: Written, more: dict[str, Any]):
        assert fates(shown(written({"messages": HISTORY} | more), "--json")) == FATES

    def test_keep_what_anthropics_reasoning_is_bound_to(self, written: Written):
        thinking = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
        last = {"role": "assistant", "content": [thinking, {"type": "text", "text": "Stalker."}]}

        told = shown(written([*HISTORY[:5], last, HISTORY[6]]), "--json")

        assert "dropped" not in fates(told)

    def test_keep_all_where_anthropic_leaves_out_by_itself(self, written: Written):
        body = {"messages": HISTORY, "system": "Be brief", "context_management": {"edits": []}}

        told = json.loads(shown(written(body), "--json"))

        assert {each["reason"] for each in told["messages"]} == {
            "the provider leaves out by itself"
        }

    @pytest.mark.parametrize("is_body", [True, False], ids=["a body", "a list"])
    def test_may_hold_the_input_of_a_response(self, written: Written, is_body: bool):
        call = {"type": "web_search_call", "id": "ws_1", "action": {"query": "Paris"}}
        items = [*HISTORY[:3], call, *HISTORY[3:]]
        told = shown(written({"input": items, "reasoning": {}} if is_body else items), "--json")

        assert fates(told) == ["protected"] * 2 + ["dropped"] * 3 + ["protected"] * 3

    def test_that_says_its_provider_holds_more_is_left_alone(self, written: Written):
        told = shown(written({"input": HISTORY, "previous_response_id": "resp_1"}), "--json")

        assert set(fates(told)) == {"kept"}
        assert "the provider holds what came before" in told

    def test_may_hold_a_conversation_in_each_line(self, written: Written):
        path = written("\n".join([json.dumps({"messages": HISTORY}), json.dumps(HISTORY[-1:])]))

        told = [json.loads(line) for line in shown(path, "--json").splitlines()]

        assert [each["file"] for each in told] == [f"{path}:1", f"{path}:2"]
        assert [len(each["messages"]) for each in told] == [7, 1]

    def test_may_be_standard_input(self, monkeypatch: pytest.MonkeyPatch):
        given = io.TextIOWrapper(io.BytesIO(json.dumps(HISTORY).encode()))
        monkeypatch.setattr("sys.stdin", given)

        assert fates(shown("-", "--json")) == FATES

    @pytest.mark.parametrize(
        "content",
        [
            "", "no JSON", "{}", "3", '"text"', "[]", "[1]", "null", '{"messages": 3}',
            '[{"role": "king", "content": ""}]', "[" * 100_000, '{"a": 1}\n{"b": 2}', "\0",
        ],
    )  # fmt: skip
    def test_that_is_no_conversation_is_named_with_what_is_wrong(self, written: Written, content):
        path = written(content)

        with pytest.raises(CommandError, match=r"is no conversation: .") as raised:
            shown(path)

        assert str(raised.value).startswith(path)

    def test_that_is_not_there_is_named(self):
        with pytest.raises(CommandError, match=r"/nowhere\.json can't be read"):
            shown("/nowhere.json")

    @pytest.mark.slow
    def test_that_is_wrong_ends_the_program_with_1(self, written: Written):
        done = subprocess.run(
            [sys.executable, "manage.py", "filter", written("{}")],
            cwd=ROOT,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 1
        assert done.stdout == ""
        assert "is no conversation: It has no 'messages'." in done.stderr
        assert "Traceback" not in done.stderr


class TestTheTable:
    @pytest.fixture(autouse=True)
    def wide(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.delenv("NO_COLOR", raising=False)

    def test_has_a_line_for_each_message_and_a_summary(self, written: Written):
        *lines, summary = shown(written(HISTORY)).splitlines()

        assert len(lines) == 7
        place, role, fate, score, tokens, *rest = lines[2].split()
        assert (place, role, fate) == ("2", "user", "dropped")
        assert 0 <= float(score) < 1
        assert int(tokens) > 3
        assert " ".join(rest) == "below threshold; talk What is the capital of France?"
        assert summary.startswith("strict, filtered: 5 of 7 messages, ")
        assert "% saved" in summary

    def test_is_cut_to_the_width(self, written: Written, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("COLUMNS", "80")
        path = written(said("flour " * 100, "面包" * 100, "And?"))

        *lines, _ = shown(path).splitlines()

        assert len(lines[0]) == 80
        assert lines[0].endswith("…")
        assert len(lines[1]) < 70

    def test_lets_no_text_act_on_the_terminal(self, written: Written):
        text = shown(written(said("a\x1b[2Jb\r\nc\x07\u202ed")))

        assert "a [2Jb c d" in text
        assert not {"\x1b", "\r", "\x07", "\u202e"} & set(text)

    def test_has_colour_on_a_terminal(self, written: Written):
        text = shown(written(HISTORY), to=Terminal())

        assert "\x1b[2m  2  user" in text
        assert "\x1b[32m  6  user" in text

    def test_has_no_colour_elsewhere(self, written: Written):
        assert "\x1b" not in shown(written(HISTORY))

    def test_has_no_colour_where_the_user_wants_none(
        self, written: Written, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("NO_COLOR", "1")

        assert "\x1b" not in shown(written(HISTORY), to=Terminal())

    def test_names_each_of_several_files(self, written: Written):
        paths = [written(HISTORY, "a.json"), written(HISTORY[-1:], "b.json")]

        lines = shown(*paths).splitlines()

        assert [line for line in lines if line in paths] == paths


class TestProgress:
    def test_is_shown_where_many_files_are_read_on_a_terminal(self, written: Written):
        errors = Terminal()

        shown(written(HISTORY, "a.json"), written(HISTORY, "b.json"), errors=errors)

        assert "1/2" in errors.getvalue()
        assert "2/2" in errors.getvalue()
        assert errors.getvalue().endswith("\r\x1b[K")

    def test_is_not_shown_elsewhere(self, written: Written):
        errors = io.StringIO()

        shown(written(HISTORY, "a.json"), written(HISTORY, "b.json"), errors=errors)

        assert errors.getvalue() == ""


class TestOptions:
    def test_choose_the_mode(self, written: Written):
        assert set(fates(shown(written(HISTORY), "--mode", "off", "--json"))) == {"kept"}

    def test_pin_and_exclude(self, written: Written):
        text = shown(written(HISTORY), "--pin", "2", "--exclude", "0", "--json")

        assert fates(text) == ["dropped"] * 2 + ["protected"] * 5

    def test_refuse_what_is_no_place(self, written: Written):
        with pytest.raises(CommandError, match="--pin has 'middle'"):
            shown(written(HISTORY), "--pin", "middle")

    def test_take_the_operators_mode_by_default(self, written: Written):
        assert json.loads(shown(written(HISTORY), "--json"))["mode"] == "strict"
