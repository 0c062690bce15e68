"""Notes each attempt of this Python process to reach somebody: where PYTHONPATH names this folder, of its children too.

A line for each: what was tried, and whom it would have reached. Python imports a module of this name when it starts.
"""

import os
import sys

_EVENTS = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _EVENTS:
        return
    address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
    if isinstance(address, tuple):
        address = address[0]
    elif event in ("socket.connect", "socket.sendto"):
        return  # a UNIX socket: this machine
    line = f"{event} {address!s}\n"
    place = os.open(os.environ["CONNECTIONS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(place, line.encode())
    os.close(place)


if "CONNECTIONS" in os.environ:
    sys.addaudithook(_note)
