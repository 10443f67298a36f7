"""The page on wire formats names tests that there are."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_page_names_is_there():
    page = (ROOT / "docs" / "wire.md").read_text()
    # Two folders may have a file of one name.
    files: dict[str, str] = defaultdict(str)
    for path in (ROOT / "tests").rglob("test_*.py"):
        files[path.name] += path.read_text()

    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)

    assert len(named) > 80
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in files[file]]
    assert not missing
