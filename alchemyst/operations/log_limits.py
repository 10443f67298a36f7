"""How grave a record of the log is, how often one like it is written, and how long it may be.

Whoever sends requests decides how many of them are wrong and what stands in them, so none of that
may fill a disk, hide what an operator should see, or look like a line of ours.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from alchemyst.web.redaction import mask
from proxy.common.outages import outages

# Of records alike, in a window of time: so many are written, then each that doubles their number.
MOST_ALIKE = 10
WINDOW_SECONDS = 60.0
MOST_KINDS = 1_000

MOST_MESSAGE = 1_000
MOST_TRACEBACK = 20_000
# Of a traceback that is cut: the end has the fault.
TRACEBACK_HEAD = 4_000

# One record for each request, which is what they are for.
ACCESS_LOGS = frozenset({"django.server", "django.channels.server"})
# uvicorn's word for an answer that was cut where its provider broke off (proxy/upstream/relay.py).
CUT_ON_PURPOSE = "ASGI callable returned without completing response."

_CONTROLS = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}


class LogLimits(logging.Filter):
    """A handler's filter: corrects the level of a record, drops it or bounds its length."""

    def __init__(self) -> None:
        super().__init__()
        self._windows: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        self._lock = Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if _tells_of_mishap(record):
            return False
        correct_level(record)
        if record.levelno < logging.getLogger(record.name).getEffectiveLevel():
            return False
        count = 1 if _is_unlimited(record) else self._count(kind_of(record))
        if not is_written(count):
            return False
        bound(record, note="" if count <= MOST_ALIKE else f" (the {count:,}th within a minute)")
        return True

    def _count(self, kind: Hashable) -> int:
        """Return how many of a kind there were in its window, this one included."""
        now = time.monotonic()
        with self._lock:
            end, count = self._windows.pop(kind, (0.0, 0))
            if now >= end:
                end, count = now + WINDOW_SECONDS, 0
            self._windows[kind] = end, count + 1
            if len(self._windows) > MOST_KINDS:
                self._windows.popitem(last=False)
        return count + 1


def correct_level(record: logging.LogRecord) -> None:
    """Lower what is a caller's mistake, or meant so: neither calls for an operator, nor a trace."""
    if 400 <= getattr(record, "status_code", 0) < 500:
        # A wrong Host or token of a form may be a setting that is wrong.
        is_security = record.name.startswith("django.security")
        _lower(record, logging.WARNING if is_security else logging.INFO)
        record.exc_info = None
    elif record.msg == CUT_ON_PURPOSE:
        _lower(record, logging.INFO)


def kind_of(record: logging.LogRecord) -> Hashable:
    """Return what records are alike by: where they come from, never the text in them."""
    kind = (record.name, record.levelno, record.pathname, record.lineno)
    return kind, getattr(record, "status_code", None), _place_of_fault(record)


def is_written(count: int) -> bool:
    """Whether the record of that number, among those alike in a window, is written."""
    rounds, rest = divmod(count, MOST_ALIKE)
    return count <= MOST_ALIKE or (not rest and rounds.bit_count() == 1)


def bound(record: logging.LogRecord, *, note: str = "") -> None:
    """Make the message one line of bounded length, and bound its traceback."""
    try:
        message = record.getMessage()
    # Arguments that fit no format: the handler tells of them, where a fault ends no request.
    except Exception:
        return
    # Masked before it is cut: half a key is not recognised.
    message = mask(message.strip()).translate(_CONTROLS)
    record.msg, record.args = _cut(message, MOST_MESSAGE) + note, ()
    if record.exc_info:
        record.exc_text = _traceback_of(record)


def _tells_of_mishap(record: logging.LogRecord) -> bool:
    """Whether it is the traceback of a mishap, which is told in words, once: of a library, for
    each try to connect again, or of Django, for each request."""
    return bool(record.exc_info and record.exc_info[1] and outages.report(record.exc_info[1]))


def _lower(record: logging.LogRecord, level: int) -> None:
    if record.levelno > level:
        record.levelno, record.levelname = level, logging.getLevelName(level)


def _is_unlimited(record: logging.LogRecord) -> bool:
    return record.levelno <= logging.DEBUG or record.name in ACCESS_LOGS


def _place_of_fault(record: logging.LogRecord) -> Hashable:
    if not record.exc_info or record.exc_info[0] is None:
        return None
    kind, _, trace = record.exc_info
    while trace and trace.tb_next:
        trace = trace.tb_next
    return kind, trace and (trace.tb_frame.f_code.co_filename, trace.tb_lineno)


def _traceback_of(record: logging.LogRecord) -> str:
    """Return the traceback, indented: no line of a foreign text in it begins as a record does."""
    assert record.exc_info
    lines = mask("".join(traceback.format_exception(record.exc_info[1]))).splitlines()
    text = "\n".join(f"  {_cut(line.translate(_CONTROLS), MOST_MESSAGE)}" for line in lines)
    if len(text) <= MOST_TRACEBACK:
        return text
    return f"{text[:TRACEBACK_HEAD]}\n  …\n  {text[TRACEBACK_HEAD - MOST_TRACEBACK :]}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
