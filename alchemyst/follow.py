"""What a server process looks at once a second: what others have published, and the switch."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from channels.db import database_sync_to_async
from rest_framework.exceptions import APIException

from alchemyst.accounts import allowance, news
from alchemyst.errors import fault_of
from chats import admission, ending
from proxy import running, switch, usage

logger = logging.getLogger("alchemyst.follow")

EVERY_SECONDS = 1.0


def admit(user_id: int, key_id: str) -> None:
    """Let an answer of the chats be asked for, if the limits allow; raises ProxyError."""
    try:
        allowance.admit(user_id, key_id)
    except APIException as error:
        raise fault_of(error) from None


admission.gates.append(admit)
usage.observers.append(allowance.charge)
news.on(news.ENDED, lambda subject: running.end(int(subject)))
news.on(news.ENDED, lambda subject: ending.end(int(subject)))


def look() -> None:
    switch.read()
    news.catch_up()


# A database that is slow to answer holds nobody else up.
_look = database_sync_to_async(
    look, thread_sensitive=False, executor=ThreadPoolExecutor(1, thread_name_prefix="follow")
)


async def keep() -> None:
    """Look every second, until cancelled. What fails now is looked at again in a second."""
    while True:
        try:
            await _look()
        # Also what fails around it: a database that is away fails before it is asked.
        except Exception as error:
            logger.warning("Nothing could be heard of other processes: %s", type(error).__name__)
        await asyncio.sleep(EVERY_SECONDS)
