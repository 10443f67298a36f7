"""The harness `proxy_overhead` with bodies that hold the same conversation in both dialects.

    python -m tests.bench.bilingual HARNESS [options of its run.py]

OpenAI's `messages` and Gemini's `contents` stand in one body, so that both targets read and send
the same bytes in one run; each passes the other's field on unread.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def bilingual(body: Callable[..., bytes]) -> Callable[..., bytes]:
    """Return what makes the same bodies, with Gemini's fields beside OpenAI's."""

    def made(*args: Any, **options: Any) -> bytes:
        asked = json.loads(body(*args, **options))
        said = asked["messages"]
        asked["systemInstruction"] = {"parts": [_part(m) for m in said if m["role"] == "system"]}
        asked["contents"] = [
            {"role": "model" if m["role"] == "assistant" else "user", "parts": [_part(m)]}
            for m in said
            if m["role"] != "system"
        ]
        return json.dumps(asked).encode()

    return made


def _part(message: dict[str, Any]) -> dict[str, Any]:
    return {"text": message["content"]}


def main() -> None:
    harness = Path(sys.argv[1])
    sys.path.insert(0, str(harness))
    import payloads  # The harness's own.

    payloads.body = bilingual(payloads.body)
    sys.argv = [str(harness / "run.py"), *sys.argv[2:]]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
