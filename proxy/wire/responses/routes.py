"""OpenAI's responses on the way: which paths they are, and how a key is shown."""

from __future__ import annotations

import re
from typing import Final

from proxy.common.web.asgi import Scope, query_of
from proxy.wire.dialect import Route

RESPONSES: Final = "responses"
NAME = "responses"
SUPPORTED = (
    "Use POST /api/v1/proxy/{target}/responses, where the target is https://api.openai.com/v1; "
    "what stands below it, and conversations, is passed on."
)
# The last resource of a path, its id and what belongs to it; a list of models is no response.
_RESOURCE = re.compile(
    r"(?P<target>.*)(?P<endpoint>/(?P<kind>responses|conversations)"
    r"(?:/(?P<id>(?!models$)[^/]+)(?P<part>/[^/]+(?:/[^/]+)?)?)?)"
)
# These stand where an id would.
_TASKS = ("input_tokens", "compact")
_PARTS = ("cancel", "input_items", "items")


def claims(path: str, scope: Scope) -> bool:
    """Whether the callers of `path` ask for a response, or for what is kept of one."""
    return _RESOURCE.fullmatch(path) is not None


def route(path: str, scope: Scope) -> Route | None:
    """Return what `path` asks for: a new response, which is filtered, or what is passed on.

    The query goes along, as it came.
    """
    match = _RESOURCE.fullmatch(path)
    if not match:
        return None
    query = query_of(scope)
    endpoint = match["endpoint"] + (f"?{query}" if query else "")
    is_filtered = match["endpoint"] == f"/{RESPONSES}" and scope["method"] == "POST"
    name = RESPONSES if is_filtered else _name(match)
    return Route(match["target"], endpoint, name, scope["method"], is_filtered)


def _name(match: re.Match[str]) -> str:
    """Return the endpoint's name without ids, of which there are as many as responses."""
    kind, id, part = match["kind"], match["id"], match["part"]
    if id in _TASKS:
        return f"{kind}/{id}"
    if id is None:
        return kind
    part = next((each for each in _PARTS if part and part.split("/")[1] == each), "")
    return f"{kind}/{{id}}/{part}" if part else f"{kind}/{{id}}"
