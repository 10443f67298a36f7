"""Says in words whether a server can listen at an address, before anything is done for it.

    python3 -I alchemyst/bootstrap/port.py 127.0.0.1 8000

Run by a Python that has nothing installed. It ends with 1 where the address can't be had.
"""

from __future__ import annotations

import errno
import socket
import sys

REASONS = {
    errno.EADDRINUSE: "it is taken, perhaps by another `make run`. Another one: make run PORT=8001",
    errno.EACCES: "ports below 1024 are for root. Another one: make run PORT=8001",
    errno.EADDRNOTAVAIL: "this machine has no such address. Another one: make run HOST=127.0.0.1",
}


def obstacle(host: str, port: str) -> str:
    """Return why nobody can listen there; nothing where one can."""
    if not port.isdecimal() or int(port) > 65_535:
        return "a port is a number up to 65535."
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
    except socket.gaierror:
        return "nobody knows this host's address."
    except OSError as error:
        return REASONS.get(error.errno or 0, f"{error.strerror}.")
    return ""


def main(host: str, port: str) -> int:
    if text := obstacle(host, port):
        print(f"Can't serve at {host}, port {port}: {text}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
