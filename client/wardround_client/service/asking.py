"""The client side of a hospital service's socket, for its own staff."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardround_client.service.control import status_seen
from wardround_client.service.status import HospitalStatus
from wardround_common.control import HOSPITAL
from wardround_common.control import control_pb2 as pb
from wardround_common.control.control_pb2_grpc import HospitalStub
from wardround_common.control.line import WORK_S, Line, connected


class Hospital:
    """A hospital's service at the other end of a line. Each method raises what the service raised.

    Raises:
        ServiceAwayError: it has ended.
        ServiceError: it does not answer in time.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._stub = HospitalStub(line.channel)

    def status(self) -> HospitalStatus:
        """Report its state."""
        return self._line.ask(self._stub.Status, pb.Nothing(), status_seen)

    def watch(self, every_s: float) -> Iterator[HospitalStatus]:
        """Report its state at an interval; ends by ServiceAwayError."""
        return self._line.watch(self._stub.Watch, every_s, status_seen)

    def pause(self) -> HospitalStatus:
        """Begin no new work."""
        return self._line.ask(self._stub.Pause, pb.Nothing(), status_seen, WORK_S)

    def resume(self) -> HospitalStatus:
        """Work again."""
        return self._line.ask(self._stub.Resume, pb.Nothing(), status_seen, WORK_S)


@contextmanager
def asking(folder: Path) -> Iterator[Hospital]:
    """Ask the hospital's service that serves from a folder.

    Raises:
        ServiceAwayError: none does.
        StorageError: it is another user's.
        ServiceError: it does not answer, or is of another version.
    """
    with connected(folder, HOSPITAL) as line:
        yield Hospital(line)
