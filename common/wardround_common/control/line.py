"""The asking side: one connection to a folder's service, and the error if there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import grpc

from wardround_common.control import LARGEST_ANSWER_BYTES, LARGEST_REQUEST_BYTES, VERSION
from wardround_common.control.channel import ALIVE_S, away, open_channel
from wardround_common.control.control_pb2 import Error, Greeting, Nothing, WatchRequest
from wardround_common.control.control_pb2_grpc import ControlStub
from wardround_common.control.errors_carried import KEY, from_message
from wardround_common.control.place import SILENT_S, is_served, silent
from wardround_common.errors import MessageError, ServiceError, WardroundError

Said = TypeVar("Said")

ANSWER_S = 10.0  # for what only looks
WORK_S = 60.0  # for what does something, perhaps with files
LOOKS, LOOK_S = 5, 0.05


class Line:
    """A connection to a service that is of the role and version that is meant."""

    def __init__(self, channel: grpc.Channel, folder: Path, role: str) -> None:
        self.channel = channel
        self._folder = folder
        self._role = role
        self._greeted = False

    def greet(self) -> None:
        """See who answers.

        Raises:
            ServiceError: it does not answer in time, is of another version, or is not what is meant.
        """
        asked = Greeting(version=VERSION, wardround=version("wardround"), role=self._role)
        found = self.ask(ControlStub(self.channel).Greet, asked, lambda answer: answer, SILENT_S)
        if found.version != VERSION:
            raise ServiceError(
                f"the service that runs is of Wardround {found.wardround or 'unknown'}, this command of "
                f"{asked.wardround}, and they do not understand each other",
                where=str(self._folder),
                do="Start the service again with the version that is installed now.",
            )
        if found.role != self._role:
            raise ServiceError(f"a {found.role} serves here, not a {self._role}", where=str(self._folder))
        self._greeted = True

    def ask(
        self, method: Callable[..., Any], request: Any, read: Callable[[Any], Said], within_s: float = ANSWER_S
    ) -> Said:
        """Ask one question; ``read`` takes the answer into a value of ours.

        Raises:
            ServiceAwayError: the service ended meanwhile.
            ServiceError: it did not answer in time, or not what can be understood.
            WardroundError: what it answered, of the class that it was there.
        """
        try:
            return self._read(read, method(request, timeout=within_s))
        except grpc.RpcError as error:
            raise self._told(error, within_s) from None

    def watch(self, method: Callable[..., Any], every_s: float, read: Callable[[Any], Said]) -> Iterator[Said]:
        """Yield the state at an interval, until the service ends.

        Raises:
            ServiceAwayError: it has ended.
            WardroundError: as :meth:`ask`.
        """
        try:
            for answer in method(WatchRequest(every_s=every_s)):
                yield self._read(read, answer)
        except grpc.RpcError as error:
            raise self._told(error, 2 * ALIVE_S) from None
        raise away(self._folder, self._role)

    def troubles(self) -> list[WardroundError]:
        """Ask what keeps the service from its work; raises what :meth:`ask` does."""
        asked = ControlStub(self.channel).Troubles
        return self.ask(asked, Nothing(), lambda answer: [from_message(each) for each in answer.troubles])

    def _read(self, read: Callable[[Any], Said], answer: Any) -> Said:
        try:
            return read(answer)
        except (ValueError, OverflowError):  # pydantic's and protobuf's
            raise self._not_understood() from None

    def _told(self, error: Any, within_s: float) -> WardroundError:
        for key, value in error.trailing_metadata() or ():
            if key == KEY:
                try:
                    return from_message(Error.FromString(value))
                except Exception:  # noqa: BLE001  # what protobuf raises is not in its interface
                    return self._not_understood()
        code = error.code()
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return silent(self._folder, within_s)
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return MessageError(
                f"more was to be said than a command ({LARGEST_REQUEST_BYTES // 1024} KiB) and its answer "
                f"({LARGEST_ANSWER_BYTES // 1024} KiB) may have, or too many ask at once",
                where=str(self._folder),
                do="Is the study file very large? Archive runs that are over. Else try again.",
            )
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            for _ in range(LOOKS):  # one that is killed takes connections for a moment more
                if not is_served(self._folder):
                    return away(self._folder, self._role)
                time.sleep(LOOK_S)
            if self._greeted:  # it is one of ours, and listens, and its pings stay away
                return silent(self._folder, within_s)
        return self._not_understood()

    def _not_understood(self) -> ServiceError:
        return ServiceError(
            "the reply from this service's socket cannot be understood",
            where=str(self._folder),
            do="Start the service again with the version that is installed now.",
        )


@contextmanager
def connected(folder: Path, role: str) -> Iterator[Line]:
    """Connect with the service of a role that serves from a folder.

    Raises:
        ServiceAwayError: none does.
        StorageError: it is another user's.
        ServiceError: it does not answer, or is not what is meant.
    """
    with open_channel(folder, role) as channel:
        line = Line(channel, folder, role)
        line.greet()
        yield line
