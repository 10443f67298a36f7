"""The record of a request: what the filter decided of each message, for its owner alone."""

from __future__ import annotations

import re

import msgspec

from proxy.common.access import access_of
from proxy.common.runtime.threads import on_database_thread
from proxy.common.web.asgi import Scope, Send, send_json
from proxy.errors import MethodNotAllowed, NotFound
from proxy.models import DecisionRecord

PREFIX = "requests/"

_ID = re.compile(r"req_[0-9a-f]{8,36}")
_MISSING = (
    "There is no record under this id. Records are kept of the requests of API keys whose setting "
    "'records' is 'scores' or 'texts', from a few seconds after the answer."
)


async def send_record(path: str, scope: Scope, send: Send) -> None:
    """Answer GET requests/{id}; what is a stranger's, expired or was never kept is not found.

    A login's token reads all of its user's records, an API key those of its own requests.
    """
    if scope["method"] != "GET":
        raise MethodNotAllowed("Use GET here.", headers=(("allow", "GET"),))
    access = access_of(scope)
    request_id = path.removeprefix(PREFIX)
    record = None
    if _ID.fullmatch(request_id):
        record = await _read_on_thread(access.user.pk, str(access.key_id or ""), request_id)
    if record is None:
        raise NotFound(_MISSING)
    await send_json(send, record)


def _read(user_id: int, key_id: str, request_id: str) -> bytes | None:
    record = DecisionRecord.objects.of(user_id, key_id).filter(request_id=request_id).first()
    return msgspec.json.encode(record.to_json()) if record else None


_read_on_thread = on_database_thread(_read, at_most=1)
