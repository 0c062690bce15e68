"""The client side of a coordinator service's socket, for its own staff."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardround_common.control import COORDINATOR
from wardround_common.control import control_pb2 as pb
from wardround_common.control.control_pb2_grpc import CoordinatorStub
from wardround_common.control.line import WORK_S, Line, connected
from wardround_common.errors import ServiceAwayError
from wardround_server.service.control_messages import run_seen, status_seen
from wardround_server.state.coordinator_folder import CoordinatorFolder
from wardround_server.state.standings import CoordinatorStatus, RunSeen


class Coordinator:
    """A coordinator at the other end of a line. Each method raises what the service raised.

    Raises:
        ServiceAwayError: it has ended.
        ServiceError: it does not answer in time.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._stub = CoordinatorStub(line.channel)

    def run(self, study: str, where: str, least: int | None = None) -> RunSeen:
        """Begin a run of a study, given as its file's text; ``where`` names the file in errors."""
        return self._line.ask(self._stub.Run, pb.RunRequest(study=study, where=where, least=least), run_seen, WORK_S)

    def resume(self, run: str, *, give_up: bool = False, finish: bool = False) -> RunSeen:
        """Resume a run from its last complete round; ``finish``: end it with the model of that round."""
        request = pb.ResumeRequest(run=run, give_up=give_up, finish=finish)
        return self._line.ask(self._stub.Resume, request, run_seen, WORK_S)

    def stop(self, run: str) -> RunSeen:
        """Stop a run after its round."""
        return self._line.ask(self._stub.Stop, pb.RunName(run=run), run_seen, WORK_S)

    def archive(self, run: str) -> Path:
        """Archive a run that is over; return where it is."""
        return self._line.ask(self._stub.Archive, pb.RunName(run=run), lambda said: Path(said.place), WORK_S)

    def remove(self, run: str) -> RunSeen:
        """Remove a run that is over."""
        return self._line.ask(self._stub.Remove, pb.RunName(run=run), run_seen, WORK_S)

    def status(self) -> CoordinatorStatus:
        """Report the whole state."""
        return self._line.ask(self._stub.Status, pb.Nothing(), status_seen)

    def watch(self, every_s: float) -> Iterator[CoordinatorStatus]:
        """Report the state at an interval; ends by ServiceAwayError."""
        return self._line.watch(self._stub.Watch, every_s, status_seen)


@contextmanager
def commanding(folder: Path) -> Iterator[Coordinator]:
    """Command the coordinator that serves from a folder.

    Raises:
        ServiceAwayError: none serves there.
        StorageError: this is not a coordinator's folder, or the service is another user's.
        ServiceError: it does not answer, or is of another version.
    """
    try:
        with connected(folder, COORDINATOR) as line:
            yield Coordinator(line)
    except ServiceAwayError:
        _ = CoordinatorFolder(folder).settings  # raises, if nobody could serve from here
        raise
