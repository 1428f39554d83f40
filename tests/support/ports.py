"""Ports for servers that tests stop and start again where they were, or that take none themselves.

They lie below those that the system gives to whoever asks for any (on Linux from 32,768 on), so no
connection of anybody has one while its server is down. Each is its process's until that ends: a UDP
socket on the same number says so to the other workers of the run.
"""

from __future__ import annotations

import socket  # noqa: TID251  (a server of another program is told its port)

from postbox.world import system_world

PORTS = range(11_000, 20_000)  # a browser calls no 10080; the demo takes its own above
HOST = "127.0.0.1"

_held: list[socket.socket] = []


def free_port() -> int:
    """On 127.0.0.1, given to nobody else while this process lives."""
    while True:
        port = PORTS[int.from_bytes(system_world().random.bytes(4), "big") % len(PORTS)]
        if _is_ours(port) and _is_free(port):
            return port


def free_url() -> str:
    return f"http://{HOST}:{free_port()}"


def _is_ours(port: int) -> bool:
    mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        mark.bind((HOST, port))
    except OSError:
        mark.close()
        return False
    _held.append(mark)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as bound:
        try:
            bound.bind((HOST, port))
        except OSError:
            return False
        return True
