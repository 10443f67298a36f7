"""Who answers what: the proxy's path, WebSockets, and Django for everything else.

The proxy's path does not go through Django's request handler, which costs ten times as much as
the forwarding itself. Its layers, outermost first: secrets masked for the server's log and a
request id -> exceptions become answers -> Bearer and scope -> a free place -> the caller's rate ->
the proxy.
"""

from __future__ import annotations

import gc
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from asgiref.sync import ThreadSensitiveContext
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "alchemyst.settings")
django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from alchemyst import checks  # noqa: E402
from alchemyst.accounts import limits  # noqa: E402
from alchemyst.accounts.middleware import Bearer, RateLimited  # noqa: E402
from alchemyst.bodies import Sized  # noqa: E402
from alchemyst.errors import Answered  # noqa: E402
from alchemyst.logs import PROXY_PREFIX, App, MaskedPaths, Receive, Scope, Send, mask_daphne  # noqa: E402
from proxy import lifespan as proxy_lifespan  # noqa: E402
from proxy.slots import Slots  # noqa: E402
from proxy.views.routes import proxy_application  # noqa: E402

checks.refuse_unsafe()
mask_daphne()

LENT_THREADS = 6


def on_lent_threads(app: App) -> App:
    """Run `app`'s synchronous parts on a few threads that live as long as the process.

    Django under ASGI otherwise starts a thread, and with it a database connection, for every
    request.
    """
    executors = itertools.cycle(
        [ThreadPoolExecutor(1, thread_name_prefix=f"django-{n}") for n in range(LENT_THREADS)]
    )

    async def lent(scope: Scope, receive: Receive, send: Send) -> None:
        async with ThreadSensitiveContext(executor=next(executors)):
            await app(scope, receive, send)

    return lent


async def no_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse the handshake: no WebSocket is served yet."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Start warm, with a clean heap; at the end close what the proxy holds, write its last rows."""
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            proxy_lifespan.warm_up()
            # What was imported stays for ever: the collector need not look at it again.
            gc.collect()
            gc.freeze()
        else:
            await proxy_lifespan.close()
            await limits.aclose()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


# A place first: who finds none has asked for nothing that the rate would count.
within_limits = Slots(RateLimited(proxy_application, limit="proxy"))
on_proxy_path = Answered(Bearer(within_limits, scope="proxy"))
elsewhere = Answered(Sized(on_lent_threads(cast("App", django_application))))


async def http(scope: Scope, receive: Receive, send: Send) -> None:
    app = on_proxy_path if scope["path"].startswith(PROXY_PREFIX) else elsewhere
    await app(scope, receive, send)


application = MaskedPaths(
    ProtocolTypeRouter(
        {
            "http": http,
            "websocket": AllowedHostsOriginValidator(no_websocket),
            "lifespan": lifespan,
        }
    )
)
