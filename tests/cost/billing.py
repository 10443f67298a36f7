"""A provider on loopback that caches prompts, and bills for them, by the rules that it is given."""

from __future__ import annotations

import json
import threading
from typing import Any

from aiohttp import web

from proxy.cost.rates import Rates
from proxy.wire import token_count
from tests.fakes import FakeProvider, Received, chunk, stream

ANSWERED = 40
"""The tokens of each answer."""

FRONT = token_count.PER_REQUEST


class BillingProvider(FakeProvider):
    """Counts a prompt's tokens as the proxy does, caches prompts, and keeps a bill of each call.

    What it has cached is cold once `time` has gone on by more than its lifetime.
    """

    def __init__(self, rates: Rates) -> None:
        super().__init__()
        self.rates = rates
        self.time = 0.0
        self.calls: list[dict[str, int]] = []
        self.tells_cached = True
        self.forgets = False
        self.keeps_an_hour = False
        self._seen: list[tuple[list[str], float]] = []
        self._turns = threading.Lock()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.received.append(Received(request.method, request.raw_path, {}, body))
        fields = json.loads(body)
        with self._turns:
            usage = self._billed(fields["messages"])
        if fields.get("stream"):
            pieces = [chunk({"content": "Well."}), chunk({}, choices=[], usage=usage)]
            return await stream(request, [*pieces, b"data: [DONE]\n\n"])
        message = {"role": "assistant", "content": "Well."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"id": "c", "choices": [choice], "usage": usage})

    def _billed(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        encoded = [json.dumps(message, sort_keys=True) for message in messages]
        sizes = [token_count.PER_MESSAGE + token_count.count(m["content"]) for m in messages]
        common = 0
        for before, at in self._seen:
            if self.time - at <= self.rates.lifetime:
                same = next(
                    (n for n, (a, b) in enumerate(zip(before, encoded, strict=False)) if a != b),
                    min(len(before), len(encoded)),
                )
                common = max(common, FRONT + sum(sizes[:same]))
        total = FRONT + sum(sizes)
        cached = (
            common // self.rates.step * self.rates.step if common >= self.rates.min_prefix else 0
        )
        cached = 0 if self.forgets else cached
        is_written = self.rates.write > 1 and total >= self.rates.min_prefix
        written = total - cached if is_written else 0
        self._seen.append((encoded, self.time))
        self.calls.append({"prompt": total, "cached": cached, "written": written})
        usage: dict[str, Any] = {"prompt_tokens": total, "completion_tokens": ANSWERED}
        if self.tells_cached:
            details = {"cached_tokens": cached, "cache_write_tokens": written}
            usage["prompt_tokens_details"] = details
            if self.keeps_an_hour:
                usage["cache_creation"] = {"ephemeral_1h_input_tokens": written}
        return usage
