"""What the built-in model answers itself: which requests it takes, and the list of its models.

It is an OpenAI-compatible server, so `default` is a target of OpenAI's dialect alone.
"""

from __future__ import annotations

import msgspec

from proxy.common.web.asgi import Send, send_json
from proxy.errors import InvalidMessages, ModelNotFound, NotFound
from proxy.gateway.call import Call, Outcome
from proxy.options import options
from proxy.upstream import builtin
from proxy.upstream.endpoint import DEFAULT
from proxy.wire import openai as wire
from proxy.wire.dialect import Dialect, Request
from proxy.wire.resources import MODELS

with_model = wire.with_model


def check_dialect(dialect: Dialect) -> None:
    """Refuse a dialect that the built-in model does not speak."""
    if dialect.NAME != wire.NAME:
        raise NotFound(
            "The built-in model speaks OpenAI's dialect. "
            "Use POST /api/v1/proxy/default/chat/completions."
        )


def check_for_builtin(request: Request) -> None:
    """Refuse what the built-in model can't answer."""
    if request.model != builtin.MODEL:
        raise ModelNotFound(
            f"The model '{request.model[:100]}' does not exist here. "
            f"On this route, set model to '{builtin.MODEL}'.",
            param="model",
        )
    if not options().c1_base_url and wire.has_media(request):
        raise InvalidMessages("The built-in model reads text only.", param="messages")


async def send_models(call: Call, send: Send) -> None:
    """Answer with the list of the built-in model, or with what is known of it.

    Raises NotFound for whatever else is asked of it, and ModelNotFound.
    """
    if call.route.name != MODELS or call.route.method != "GET":
        raise NotFound(f"The built-in model has no such endpoint. {wire.SUPPORTED}")
    listed = builtin.models()
    if call.route.model:
        if call.route.model != builtin.MODEL:
            raise ModelNotFound(f"Here is one model, '{builtin.MODEL}'.", param="model")
        (listed,) = listed["data"]
    call.target = DEFAULT
    call.status, call.outcome = 200, Outcome.COMPLETE
    await send_json(send, msgspec.json.encode(listed), headers=call.response_headers())
