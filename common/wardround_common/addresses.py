"""Where a server is reached: a DNS name or IP address, and a port, each in one form."""

from __future__ import annotations

import ipaddress
import re

from wardround_common.errors import MessageError


def check_host(host: str) -> str:
    """Return a DNS name in small letters, or an IP address in its usual form.

    Raises:
        MessageError: it is neither.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    name = host.lower()
    # A last label of digits only is a mistyped address.
    if len(name) <= 253 and re.fullmatch(rf"{label}(\.{label})*", name) and not name.rpartition(".")[2].isdigit():
        return name
    raise MessageError(
        f"{host!r} is not a name or address of a server",
        do="Write a DNS name such as fl.example.org (one with accents in its xn-- form), or an IP address; no port.",
    )


def address(host: str, port: int) -> str:
    """Join a host and a port; an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(value: str) -> tuple[str, int]:
    """Take an address asunder into a host, as :func:`check_host` gives it, and a port.

    Raises:
        MessageError: it is no such address.
    """
    host, _, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not port.isascii() or not port.isdigit() or len(port) > 5 or not 1 <= int(port) <= 65535:
        raise MessageError(f"{value!r} has no port from 1 to 65535")
    host = host[1:-1] if bracketed else host
    if bracketed != (":" in host):
        raise MessageError(f"{value!r} is not an address: an IPv6 address, and nothing else, stands in brackets")
    return check_host(host), int(port)
