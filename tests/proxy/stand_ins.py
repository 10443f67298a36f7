"""Stand-ins for dialects: just enough of one for a request to be routed, read and refused."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Final

from proxy import wire
from proxy.common.web.asgi import Scope
from proxy.relevance.messages import Message
from proxy.wire import openai
from proxy.wire.dialect import NO_STEP, Mark, Request, Route, Step
from proxy.wire.validation import check_names

ENDPOINTS = {
    "anthropic": ("/v1/messages", "/v1/messages/count_tokens"),
    "responses": ("/responses", "/responses/input_tokens"),
}
LAST: Final = {"message_stop", "response.completed", "response.incomplete"}


def stand_in(name: str) -> ModuleType:
    """Return a dialect of this name, whose messages are none."""
    made = ModuleType(name)
    made.__dict__.update(vars(openai))
    completion, count = ENDPOINTS[name]

    def route(path: str, scope: Scope) -> Route | None:
        for endpoint in (completion, count):
            if path.endswith(endpoint):
                target = path.removesuffix(endpoint)
                return Route(target, endpoint, endpoint[1:], is_filtered=endpoint == completion)
        return None

    def read(body: bytes, route: Route, *, most_messages: int) -> Request:
        check_names(body)
        fields = json.loads(body)
        items = fields.get("messages") or fields.get("input")
        raw = [json.dumps(item).encode() for item in ([items] if isinstance(items, str) else items)]
        messages = [Message("user", "", each, tokens=len(each)) for each in raw]
        return Request(body, fields["model"], raw, messages, may_be_filtered=False)

    def step(data: bytes) -> Step:
        kind = json.loads(data)["type"]
        return Step(is_last=True) if kind in LAST else NO_STEP

    made.__dict__.update(
        NAME=name,
        STREAMS=frozenset({completion[1:]}),
        FINISH=Mark(b"stop_reason", rb'"[^"]'),
        claims=lambda path, scope: path.endswith((completion, count)),
        route=route,
        read=read,
        step=step,
        credential=_show_key if name == "anthropic" else openai.credential,
        error=lambda fault: json.dumps(
            {"type": "error", "error": {"type": fault.type, "message": fault.message}}
        ).encode(),
        broken=lambda fault: b'\n\nevent: error\ndata: {"type":"error"}\n\n',
    )
    return made


def _show_key(key: str) -> tuple[str, str]:
    return "x-api-key", key


def missing() -> list[ModuleType]:
    """Return a stand-in for each of these dialects that there is not."""
    names = {dialect.NAME for dialect in wire.DIALECTS}
    return [stand_in(name) for name in ENDPOINTS if name not in names]
