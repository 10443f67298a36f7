"""The one way of a call through the proxy, whatever its dialect: checked, filtered, forwarded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from proxy.calls.cost_gate import build_gate_config
from proxy.common.web.asgi import ClientDisconnected, Receive, Send, open_body
from proxy.errors import ApiError, ModelNotAllowed, UpstreamUnreachable
from proxy.filtering import kill_switch, pins
from proxy.filtering.cost_gate import CostGateConfig
from proxy.filtering.cpu_threads import run_in_thread_if_large
from proxy.filtering.pipeline import Step, finish, start_filtering
from proxy.filtering.result import FilterOptions, FilterResult
from proxy.gateway import any_endpoint, body_model, builtin, model_list
from proxy.gateway.body import read_decoded
from proxy.gateway.body_model import Body
from proxy.gateway.call import Call, Outcome, provider_of
from proxy.gateway.request_options import RequestOptions, parse
from proxy.limits import active_calls, allowlists, budgets
from proxy.meaning.conversation import is_worth_encoding
from proxy.options import options
from proxy.relevance import modes
from proxy.upstream import headers, relay, transport
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.endpoint import Provider
from proxy.upstream.target import path_at
from proxy.wire import resources
from proxy.wire.answer_end import EVENT_STREAM
from proxy.wire.dialect import Request

# Of answers that may tell what was used for them; others may hold a thousand answers' usage.
READ_KINDS = (b"application/json", EVENT_STREAM)
# Whose requests servers want a length of, be it 0.
WITH_LENGTH = ("POST", "PUT", "PATCH")
# Their bodies hold requests, each with a model of its own.
BATCHES = "batches"
Answer = Callable[[Call, Receive, Send], Awaitable[None]]


async def with_usage_row(answer: Answer, call: Call, receive: Receive, send: Send) -> None:
    """Answer a call and record it, whatever becomes of it; who left needs no answer."""
    active_calls.add(call.user_id, call)
    try:
        await answer(call, receive, send)
    except ClientDisconnected:
        call.status, call.outcome = call.status or 499, Outcome.CLIENT_CLOSED
    except ApiError as error:
        call.status = error.status
        raise
    except Exception as error:
        call.status = getattr(error, "status_code", 500)
        raise
    finally:
        active_calls.remove(call.user_id, call)
        call.record()
        if call.reservation:
            await call.settle()


async def handle_completion(call: Call, receive: Receive, send: Send) -> None:
    """Answer a call whose body holds a conversation: what matters of it goes to the provider."""
    scope = call.scope
    # The cheap refusals first: a bad target needs no body, a bad body no model that starts.
    request_options = parse(scope, is_filtered=True)
    external = await provider_of(call, request_options.upstream_key)
    if external is None:
        builtin.check_dialect(call.dialect)
    body = await read_decoded(scope, receive)
    gate_config = await _cost_gate(call, external, request_options) if external else None
    request, call.filter_result = await filter_body(body, call, request_options, gate_config)
    call.model = request.model
    if call.access.keeps_chats:
        call.relay_state.whole = []
    if is_worth_encoding(request.messages):
        call.relay_state.beginning = []
    allowlists.check_model(request.model, call.access.allowed_models)
    if external and call.access.allowed_models is not None:
        names = await run_in_thread_if_large(len(body), body_model.names_in, body)
        # The first is the request's own, or gives way to the path's.
        _check_models(call, external, names[1:])
    if external is None:
        builtin.check_for_builtin(request, call.dialect)
    await call.reserve(external.name if external else "")
    with CallDeadline(receive, call.bounds) as call.deadline:
        provider = external or await builtin.provider_for(call.dialect)
        call.target = provider.name
        sent_headers = _request_headers(call, is_verbatim=False)
        answer = await call.open_filtered(provider, sent_headers)
        await builtin.check_answer(call, provider, answer)
        await _relay(call, provider, answer, send)


async def pass_through(call: Call, receive: Receive, send: Send) -> None:
    """Answer any other call: its body goes to the provider as it comes."""
    call.model, call.bounds = call.route.model, options().transfer_bounds
    request_options = parse(call.scope, is_filtered=False)
    provider = await provider_of(call, request_options.upstream_key)
    if call.model:
        allowlists.check_model(call.model, call.access.allowed_models)
    send = model_list.narrowed(call, send)
    if provider is None:
        builtin.check_dialect(call.dialect)
        await builtin.answer_itself(call, receive, send)
        return
    call.target = provider.name
    any_endpoint.check_administration(path_at(provider.base, call.route.endpoint))
    body = await open_body(call.scope, receive, options().max_upload)
    if body is None and call.route.method in WITH_LENGTH:
        body = b""
    if not (call.model or model_list.is_asked_for(call)):
        body = await _with_model(call, body)
    _check_models(call, provider, [])
    if call.route.method == "POST":
        await call.reserve(provider.name)
    with CallDeadline(receive, call.bounds) as call.deadline:
        sent_headers = _request_headers(call, is_verbatim=body is not None)
        answer = await call.open(provider, sent_headers, body)
        await _relay(call, provider, answer, send)
    if not call.scope["has_begun"]:
        # A list that was held back for its end, which did not come.
        raise UpstreamUnreachable


async def _with_model(call: Call, body: Body) -> Body:
    """Read the model in a body where the caller may not use all, or pays by it; return the body.

    Raises ModelNotAllowed.
    """
    permitted = call.access.allowed_models
    if permitted is None and not await budgets.exist_for(call.user_id, call.key_id):
        return body
    names, body = await body_model.read(body, call.scope, most=options().max_body)
    call.model = names[0] if names else ""
    if permitted is not None:
        if not names or call.route.name == BATCHES:
            raise ModelNotAllowed(body_model.UNNAMED, param="model")
        for name in names:
            allowlists.check_model(name, permitted)
    return body


def _check_models(call: Call, provider: Provider, names: list[str]) -> None:
    """Raise ModelNotAllowed unless the caller may use these, and what the provider's URL names."""
    url = path_at(provider.base, call.route.endpoint)
    for name in (*resources.models_in_url(url), *names):
        allowlists.check_model(name, call.access.allowed_models)


def _cost_gate(
    call: Call, provider: Provider, request_options: RequestOptions
) -> Awaitable[CostGateConfig | None]:
    presets = request_options.cost, call.access.cost, provider.cost
    return build_gate_config(call.user_id, provider.name, provider.key, *presets)


async def filter_body(
    body: bytes,
    call: Call,
    request_options: RequestOptions,
    gate_config: CostGateConfig | None = None,
    *,
    is_preview: bool = False,
) -> tuple[Request, FilterResult]:
    """Return the request, checked, and what of it goes to the provider.

    What the gate decides is remembered for the conversation's next turn; a preview only looks, and
    shows of a short request too what would be left out of a longer one.
    """
    # A preview may wait as long as the whole filter: nobody's answer hangs on it.
    patience = options().filter_seconds if is_preview else options().encoder_seconds
    short_tokens = 0 if is_preview else options().short_tokens
    wishes = request_options, gate_config, patience, short_tokens
    request, step = await run_in_thread_if_large(len(body), _read_and_filter, body, call, *wishes)
    return request, await finish(step, is_kept=not is_preview)


def _read_and_filter(
    body: bytes,
    call: Call,
    request_options: RequestOptions,
    gate_config: CostGateConfig | None,
    encoder_seconds: float,
    short_tokens: int,
) -> tuple[Request, Step]:
    dialect = call.dialect
    request = dialect.read(body, call.route, most_messages=options().max_messages)
    count = len(request.messages)
    filter_options = FilterOptions(
        modes.OFF if kill_switch.is_active() else request_options.mode,
        pins.places(request_options.pinned, count, header="X-Alchemyst-Pin"),
        pins.places(request_options.excluded, count, header="X-Alchemyst-Exclude"),
        options().filter_seconds,
        call.user_id,
        encoder_seconds,
        request_options.is_shadow,
        short_tokens,
    )
    return request, start_filtering(request, dialect, filter_options, gate_config)


def _request_headers(call: Call, *, is_verbatim: bool) -> transport.RawHeaders:
    received, passing = call.scope["headers"], options().pass_headers
    return headers.request_headers(received, passing, is_verbatim=is_verbatim)


async def _relay(call: Call, provider: Provider, answer: transport.Answer, send: Send) -> None:
    """Pass an answer on to its end, and let go of the provider whatever happens."""
    if answer.status >= 400:
        send = relay.mask_key(send, provider.key.encode())
    if not call.route.is_known:
        is_read = relay.kind_of(answer) in READ_KINDS
        call.tells_usage = is_read and call.route.method == "POST"
    has_body = call.route.method != "HEAD"
    try:
        passing = relay.relayed_headers(answer, call.bounds, has_body=has_body)
        response_headers = passing + call.response_headers()
        # Until the relay has ended well, it is broken: a client that leaves says otherwise.
        call.status, call.outcome = answer.status, Outcome.BROKEN
        await relay.relay(
            answer, response_headers, send, call.dialect, call.relay_state, call.deadline
        )
    finally:
        relay.release(provider, answer)
    if call.relay_state.broke is None:
        call.outcome = Outcome.FAILED if call.relay_state.has_failed else Outcome.COMPLETE
    else:
        await _close_readably(call, answer, send)


async def _close_readably(call: Call, answer: transport.Answer, send: Send) -> None:
    """End an answer that broke, and that is no event stream, so that a client can read why."""
    broke = call.relay_state.broke
    is_json = answer.status == 200 and relay.kind_of(answer) == b"application/json"
    if broke is None or not is_json or answer.get(b"content-length") is not None:
        return
    end = call.dialect.closing(call.relay_state.end.tail(), broke)
    if end is not None:
        await send({"type": "http.response.body", "body": end})
