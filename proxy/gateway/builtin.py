"""What is answered for the built-in model: which requests it takes, its list, counts of tokens.

Its server is asked by chat completions, whatever dialect the caller speaks (`wire.translation`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, NoReturn

import msgspec

from proxy.calls.translated import TranslatingTransport
from proxy.common.web.asgi import Receive, Send, header, read_body, send_json
from proxy.completions.upstream_errors import Refusal, error_message, retry_after
from proxy.errors import (
    InvalidMessages,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    PromptTooLong,
)
from proxy.filtering.cpu_threads import run_in_thread_if_large
from proxy.gateway.call import Call, Outcome
from proxy.options import options
from proxy.upstream import builtin, relay
from proxy.upstream.endpoint import DEFAULT, Provider, builtin_provider
from proxy.upstream.transport import Answer
from proxy.wire import openai, token_count
from proxy.wire.dialect import Dialect, Request
from proxy.wire.resources import MODELS
from proxy.wire.translation import BY_DIALECT

# Where clients that know other models are told which to ask.
_WHERE_TO_SET: Final = {
    "anthropic": " In Claude Code, set ANTHROPIC_MODEL and ANTHROPIC_SMALL_FAST_MODEL to it.",
    "responses": " In Codex, set `model` in config.toml to it.",
}
# Endpoints that count a prompt's tokens, by their last segment: what else they answer.
_COUNTS: Final = {"count_tokens": {}, "input_tokens": {"object": "response.input_tokens"}}
# What llama.cpp says, and what others do.
_SIZES = re.compile(r"\((\d+) tokens\)[^(]*\((\d+) tokens\)")
_TOO_LONG = re.compile(r"context (?:length|size|window)", re.IGNORECASE)
_CALLERS_FAULTS = (400, 413, 422)


def check_dialect(dialect: Dialect) -> None:
    """Refuse a dialect that the built-in model does not speak."""
    if dialect.NAME != openai.NAME and dialect.NAME not in BY_DIALECT:
        raise _no_such_endpoint()


def check_for_builtin(request: Request, dialect: Dialect) -> None:
    """Refuse what the built-in model can't answer."""
    if request.model != builtin.MODEL:
        raise ModelNotFound(
            f"The model '{request.model[:100]}' does not exist here. "
            f"On this route, set model to '{builtin.MODEL}'.{_WHERE_TO_SET.get(dialect.NAME, '')}",
            param="model",
        )
    is_chat = dialect.NAME == openai.NAME
    if is_chat and not options().c1_base_url and openai.has_media(request):
        raise InvalidMessages("The built-in model reads text only.", param="messages")


async def provider_for(dialect: Dialect) -> Provider:
    """Return the built-in model's server, as callers of a dialect ask it.

    Raises ModelUnavailable.
    """
    provider = await builtin_provider()
    translation = BY_DIALECT.get(dialect.NAME)
    if translation is None:
        return provider
    pool = TranslatingTransport(provider.pool, translation.writer(builtin.MODEL))
    return replace(provider, pool=pool, translation=translation)


async def check_answer(call: Call, provider: Provider, answer: Answer) -> None:
    """Raise what the model's server says in place of an answer, as a fault of ours.

    An operator's own server is heard in its own words where its callers speak its dialect.
    """
    is_native = provider.name != DEFAULT or (options().c1_base_url and not provider.translation)
    if answer.status < 300 or is_native:
        return
    try:
        words = await error_message(answer, call.deadline, provider.key)
    finally:
        relay.release(provider, answer)
    _refuse(answer, words)


def _refuse(answer: Answer, words: str) -> NoReturn:
    if sizes := _SIZES.search(words):
        raise PromptTooLong(
            f"prompt is too long: {sizes[1]} tokens > {sizes[2]} maximum. The built-in model reads "
            "no more; send less, or name a provider's model."
        )
    if answer.status in _CALLERS_FAULTS:
        if _TOO_LONG.search(words):
            raise PromptTooLong(f"prompt is too long: {words}")
        raise InvalidRequest(words or "The built-in model's server refused the request.")
    raise Refusal(answer.status, retry_after(answer), words).as_error()


async def answer_itself(call: Call, receive: Receive, send: Send) -> None:
    """Answer what needs no model: what it is called, and how long a prompt is.

    Raises NotFound for any other endpoint.
    """
    call.target = DEFAULT
    method = call.route.method
    last = call.route.endpoint.partition("?")[0].rpartition("/")[2]
    if call.route.name == MODELS and method == "GET":
        answer = _models(call)
    elif last in _COUNTS and method == "POST":
        body = await read_body(call.scope, receive, options().max_body)
        count = await run_in_thread_if_large(len(body), _prompt_tokens, body, call)
        answer = msgspec.json.encode({"input_tokens": count} | _COUNTS[last])
    else:
        raise _no_such_endpoint()
    call.status, call.outcome = 200, Outcome.COMPLETE
    await send_json(send, answer, headers=call.response_headers())


def _prompt_tokens(body: bytes, call: Call) -> int:
    request = call.dialect.read(body, call.route, most_messages=options().max_messages)
    check_for_builtin(request, call.dialect)
    front = token_count.count(request.front.decode(errors="replace"))
    return front + sum(message.tokens for message in request.messages)


def _models(call: Call) -> bytes:
    """Return the list of the built-in model, or what is known of it, as its caller's SDK reads it.

    `anthropic-version` tells Anthropic's from OpenAI's, which has the same path.
    """
    if call.route.model not in ("", builtin.MODEL):
        raise ModelNotFound(
            f"The model '{call.route.model[:100]}' does not exist here. There is '{builtin.MODEL}'."
        )
    if header(call.scope, b"anthropic-version") is None:
        models = builtin.models()
        return msgspec.json.encode(models["data"][0] if call.route.model else models)
    model = {
        "type": "model",
        "id": builtin.MODEL,
        "display_name": "Alchemyst c1",
        "created_at": datetime.fromtimestamp(builtin.CREATED, UTC),
    }
    edges = {"has_more": False, "first_id": builtin.MODEL, "last_id": builtin.MODEL}
    return msgspec.json.encode(model if call.route.model else {"data": [model], **edges})


def _no_such_endpoint() -> NotFound:
    return NotFound(
        "The built-in model answers POST /api/v1/proxy/default/chat/completions, "
        "/api/v1/proxy/default/v1/messages and /api/v1/proxy/default/v1/responses, and GET "
        "/api/v1/proxy/default/models."
    )
