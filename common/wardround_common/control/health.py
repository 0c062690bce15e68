"""gRPC's standard health service: serving or not, as a whole and for each possible obstacle."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from wardround_common.errors import FullDiskError, ServiceError, WardroundError

IMAGES, COORDINATOR, DISK = "images", "coordinator", "disk"
"""The names of services by which health is asked; the empty name is all of them together."""
LOOK_S = 1.0
STALE_S = 15.0  # without a look that ended a service is not well
SLOW = "the service has not seen to its health lately"
LEAST_FREE_BYTES = 64 * 1024 * 1024
"""Less is a full disk: an answer of a small network and its notes do not fit any more."""


class Health:
    """Looks every second for what keeps a service from its work, in a thread of its own: a dead share may hold it up.

    ``look`` returns what is in the way by one of the names, with None for what is well; always the same names.
    """

    def __init__(self, look: Callable[[], Mapping[str, WardroundError | None]]) -> None:
        self._look = look
        self._found: Mapping[str, WardroundError | None] = {}
        self._seen = -math.inf  # when the last look ended
        self._servicer = _Servicer(self)
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def add_to(self, server: grpc.Server) -> None:
        """Let a server answer for it."""
        add_HealthServicer_to_server(self._servicer, server)

    def begin(self) -> None:
        """Begin to look."""
        self._thread.start()

    def look_again(self) -> None:
        """Look now: something has changed."""
        self._wake.set()

    def troubles(self) -> dict[str, WardroundError]:
        """Return what is in the way as of the last look, by its name; that there was none lately is under none."""
        if not self.is_current:
            return {
                "": ServiceError(
                    SLOW, do="Did it just start? Otherwise a disk, such as a network share, does not respond."
                )
            }
        return {name: error for name, error in self._found.items() if error}

    @property
    def is_current(self) -> bool:
        """Whether a look has ended lately."""
        return time.monotonic() - self._seen < STALE_S

    def end(self) -> None:
        """Be well no more, also to those who watch."""
        self._ending.set()
        self._wake.set()
        self._servicer.enter_graceful_shutdown()

    def _watch(self) -> None:
        while not self._ending.is_set():
            found = self._look()
            self._found, self._seen = found, time.monotonic()
            for name, error in found.items():
                self._servicer.set(name, _word(error is None))
            self._servicer.set("", _word(not any(found.values())))
            self._wake.wait(LOOK_S)
            self._wake.clear()


class _Servicer(HealthServicer):  # type: ignore[misc]  # it ships no types
    def __init__(self, health: Health) -> None:
        super().__init__()
        self._looks = health
        self.set("", HealthCheckResponse.NOT_SERVING)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  # as in the .proto
        """Answer as of the last look, if that is not too long ago."""
        if not self._looks.is_current:
            self.set("", HealthCheckResponse.NOT_SERVING)
        return super().Check(request, context)


def full_disk(folder: Path) -> FullDiskError | None:
    """Return what is said of a folder whose disk has no room left."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None  # which is another trouble than a full disk
    if free >= LEAST_FREE_BYTES:
        return None
    return FullDiskError(
        f"the disk is full: {free // 2**20} MiB are free", where=str(folder), do="Make room; completed work is kept."
    )


def _word(well: bool) -> HealthCheckResponse.ServingStatus:
    return HealthCheckResponse.SERVING if well else HealthCheckResponse.NOT_SERVING
