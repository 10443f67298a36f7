"""The habits that the tests keep: what may be tried again, and how few of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.chats.processes import ROOT

MOST_FLAKY = 10


def flaky_marks(source: str) -> Iterator[dict[str, ast.expr]]:
    """The arguments of each mark `flaky` in a module; of one without brackets, none."""
    tree = ast.parse(source)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("mark.flaky"):
            call = calls.get(id(node))
            yield {word.arg: word.value for word in call.keywords if word.arg} if call else {}


def modules() -> list[Path]:
    return [path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts]


class TestTestsThatAreTriedAgain:
    def test_are_few(self):
        marks = [mark for path in modules() for mark in flaky_marks(path.read_text())]

        assert len(marks) <= MOST_FLAKY

    def test_say_why(self):
        without = [
            path.name
            for path in modules()
            for mark in flaky_marks(path.read_text())
            if not isinstance(reason := mark.get("reason"), ast.Constant) or not reason.value
        ]

        assert without == []

    def test_are_found_however_they_are_marked(self):
        source = """
@pytest.mark.flaky
def test_one(): ...
@pytest.mark.flaky(reruns=1, reason="a port may be taken")
def test_two(): ...
pytestmark = [mark.flaky(reruns=2)]
"""

        assert [sorted(mark) for mark in flaky_marks(source)] == [
            [],
            ["reason", "reruns"],
            ["reruns"],
        ]
