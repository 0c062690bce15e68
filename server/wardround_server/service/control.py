"""What a coordinator service answers its own staff at its socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import grpc

from wardround_common.control import COORDINATOR
from wardround_common.control import control_pb2 as pb
from wardround_common.control.control_pb2_grpc import CoordinatorServicer, add_CoordinatorServicer_to_server
from wardround_common.control.health import Health
from wardround_common.control.service import ControlServer, Watchers
from wardround_server.service.control_messages import run_message, status_message
from wardround_server.state.standings import CoordinatorStatus, Standings


class Commanded(Protocol):
    """What can be commanded: each does it, or raises an error of our tree."""

    def run(self, study: str, where: str, least: int | None) -> Standings:
        """Begin a run of a study, given as its file's text."""

    def resume(self, run: str, *, give_up: bool, finish: bool) -> Standings:
        """Resume a run."""

    def stop(self, run: str) -> Standings:
        """Stop a run."""

    def archive(self, run: str) -> Path:
        """Archive a run; return where it is."""

    def remove(self, run: str) -> Standings:
        """Remove a run."""

    def status(self) -> CoordinatorStatus:
        """Report the whole state."""


def open_control(
    folder: Path, commanded: Commanded, health: Health, invite: Callable[[], str] | None = None
) -> ControlServer:
    """Let a coordinator be commanded at the socket in its folder; ``invite`` returns a new address of its pages.

    Raises:
        StorageError: no socket can be made there.
    """

    def add(server: grpc.Server, watchers: Watchers) -> None:
        add_CoordinatorServicer_to_server(_Coordinator(commanded, watchers), server)

    return ControlServer(folder, COORDINATOR, add, health, invite)


class _Coordinator(CoordinatorServicer):  # type: ignore[misc]  # generated, without types
    def __init__(self, commanded: Commanded, watchers: Watchers) -> None:
        self._commanded = commanded
        self._watchers = watchers

    def Run(self, request: pb.RunRequest, context: grpc.ServicerContext) -> pb.Standing:  # noqa: N802  # as in the .proto
        least = request.least if request.HasField("least") else None
        return run_message(self._commanded.run(request.study, request.where, least))

    def Resume(self, request: pb.ResumeRequest, context: grpc.ServicerContext) -> pb.Standing:  # noqa: N802
        return run_message(self._commanded.resume(request.run, give_up=request.give_up, finish=request.finish))

    def Stop(self, request: pb.RunName, context: grpc.ServicerContext) -> pb.Standing:  # noqa: N802
        return run_message(self._commanded.stop(request.run))

    def Archive(self, request: pb.RunName, context: grpc.ServicerContext) -> pb.Archived:  # noqa: N802
        return pb.Archived(place=str(self._commanded.archive(request.run)))

    def Remove(self, request: pb.RunName, context: grpc.ServicerContext) -> pb.Standing:  # noqa: N802
        return run_message(self._commanded.remove(request.run))

    def Status(self, request: pb.Nothing, context: grpc.ServicerContext) -> pb.CoordinatorStatus:  # noqa: N802
        return status_message(self._commanded.status())

    def Watch(self, request: pb.WatchRequest, context: grpc.ServicerContext) -> Iterator[pb.CoordinatorStatus]:  # noqa: N802
        return self._watchers.tell(lambda: status_message(self._commanded.status()), request)
