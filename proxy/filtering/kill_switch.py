"""Whether the filter is switched off for the whole installation, as this process last read.

A server process reads the switch once a second (`read`, from its own loop); any other, such as a
worker, when it asks and has not read it for as long. A database that does not answer changes
nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time

from django.db import DatabaseError

from proxy.common.outages import outages
from proxy.models import FilterSwitch

logger = logging.getLogger("proxy.filtering.kill_switch")

FRESH_SECONDS = 3.0

_is_active = False
_read_at = float("-inf")


def is_active() -> bool:
    """Whether everything passes unfiltered now. On an event loop this never waits."""
    if time.monotonic() - _read_at > FRESH_SECONDS and not _on_a_loop():
        refresh()
    return _is_active


def refresh() -> None:
    """Look at the switch."""
    global _is_active, _read_at
    try:
        is_off = bool(FilterSwitch.objects.filter(is_off=True).exists())
    except DatabaseError as error:
        if not outages.report(error):
            logger.warning("The filter's switch could not be read: %s", type(error).__name__)
        return
    _read_at = time.monotonic()
    if is_off != _is_active:
        _is_active = is_off
        logger.warning("The filter is switched %s", "off" if is_off else "on")


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
