"""A provider's list of models, as a key that is limited to some of them may see it.

The list is the one answer that is held back until its end. What is no such list, or too long a one,
comes down as it is: whether a model may be used is decided when it is asked for.
"""

from __future__ import annotations

from functools import partial

from proxy.common.web.asgi import Message, Send
from proxy.gateway.call import Call
from proxy.limits import allowlists
from proxy.wire.resources import MODELS

MOST_BYTES = 4 * 1024 * 1024


def narrowed(call: Call, send: Send) -> Send:
    """Return `send`, for a list of models to a limited key without what the key may not use."""
    permitted = call.access.allowed_models
    if permitted is None or not is_asked_for(call):
        return send
    listed = partial(call.dialect.listed, may_use=partial(allowlists.may_use, permitted=permitted))
    start: Message | None = None
    held = bytearray()

    async def narrowing(event: Message) -> None:
        nonlocal start
        if event["type"] == "http.response.start" and _may_hold_a_list(event):
            start = event
            return
        if start is not None:
            held.extend(event["body"])
            is_too_long = len(held) > MOST_BYTES
            if event.get("more_body") and not is_too_long:
                return
            body = bytes(held)
            usable = None if is_too_long else listed(body)
            await send(start if usable is None else _sized(start, usable))
            start, event = None, {**event, "body": body if usable is None else usable}
        await send(event)

    return narrowing


def is_asked_for(call: Call) -> bool:
    """Whether a call asks for a list of models, and not for one of them."""
    route = call.route
    return route.name == MODELS and route.method == "GET" and not route.model


def _may_hold_a_list(start: Message) -> bool:
    kind = dict(start["headers"]).get(b"content-type", b"")
    return start["status"] == 200 and kind.startswith(b"application/json")


def _sized(start: Message, body: bytes) -> Message:
    others = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    return {**start, "headers": [*others, (b"content-length", b"%d" % len(body))]}
