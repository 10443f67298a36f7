"""Clients on Node: scripts that run one case after the other, each started once."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "npm"
NODE = shutil.which("node")

where_node_is = [
    pytest.mark.skipif(not NODE, reason="Node is not found"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules" / ".installed").exists(),
        reason="no clients on Node are installed; `make test` does it",
    ),
]


class Node:
    """The scripts that are running, by name."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[str]] = {}

    def run(self, script: str, case: str, **asked: Any) -> dict[str, Any]:
        """Run a case of a script, and tell what it came to."""
        if script not in self.running:
            self.running[script] = subprocess.Popen(
                [str(NODE), f"{script}.mjs"],
                cwd=FOLDER,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        process = self.running[script]
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps({"case": case} | asked), file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    def end(self) -> None:
        for process in self.running.values():
            process.communicate(timeout=10)
