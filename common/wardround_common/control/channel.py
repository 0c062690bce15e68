"""A channel of gRPC to the socket of a folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import grpc

from wardround_common.control import LARGEST_ANSWER_BYTES, LARGEST_ERROR_BYTES, LARGEST_REQUEST_BYTES
from wardround_common.control.place import address, is_served
from wardround_common.errors import ServiceAwayError

ALIVE_S = 5.0  # a service that is watched shows within this time, twice, that it is alive
OPTIONS = (
    ("grpc.max_send_message_length", LARGEST_REQUEST_BYTES),
    ("grpc.max_receive_message_length", LARGEST_ANSWER_BYTES),
    ("grpc.max_metadata_size", LARGEST_ERROR_BYTES),
    ("grpc.absolute_max_metadata_size", LARGEST_ERROR_BYTES),
    ("grpc.enable_retries", 0),  # a command is given once
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", int(ALIVE_S * 1000)),
    ("grpc.keepalive_timeout_ms", int(ALIVE_S * 1000)),
    ("grpc.http2.ping_timeout_ms", int(ALIVE_S * 1000)),  # else a minute, whatever the keepalive's own is
    ("grpc.http2.max_pings_without_data", 0),  # who watches sends none
)


@contextmanager
def open_channel(folder: Path, role: str) -> Iterator[grpc.Channel]:
    """Open a channel to the service of a role in a folder.

    Raises:
        ServiceAwayError: none serves there.
        StorageError: it is another user's.
        ServiceError: it takes no connection.
    """
    if not is_served(folder):
        raise away(folder, role)
    with address(folder) as path, grpc.insecure_channel(f"unix:{quote(path)}", options=OPTIONS) as channel:
        yield channel


def away(folder: Path, role: str) -> ServiceAwayError:
    """Return what is said where no service is."""
    coordinators = f"Start it: wardround coordinator serve {shlex.quote(str(folder))}"
    do = coordinators if role == "coordinator" else "Start it: wardround hospital serve"
    return ServiceAwayError(f"no {role} serves from this folder", where=str(folder), do=do)
