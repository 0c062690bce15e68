"""The answering side: a gRPC server at a socket that only its owner can reach."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import grpc

from wardround_common.control import LARGEST_ANSWER_BYTES, LARGEST_REQUEST_BYTES, VERSION
from wardround_common.control.control_pb2 import (
    Error,
    Greeting,
    Nothing,
    PageAddress,
    TroubleList,
    WatchRequest,
)
from wardround_common.control.control_pb2_grpc import (
    ControlServicer,
    PagesServicer,
    add_ControlServicer_to_server,
    add_PagesServicer_to_server,
)
from wardround_common.control.errors_carried import KEY, to_message
from wardround_common.control.health import Health
from wardround_common.control.place import FOLDER, NAME, address
from wardround_common.errors import ServiceError, StorageError, WardroundError
from wardround_common.storage import no_room_is_said

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

AT_ONCE = 16  # commands
WATCHERS = 8  # of these at most, so that there is always room for a command
SOONEST_S, LATEST_S = 0.1, 10.0  # between two answers to one who watches
OURS = "/wardround."
END_S = 2.0  # for what is being answered when the service ends
OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_REQUEST_BYTES),
    ("grpc.max_send_message_length", LARGEST_ANSWER_BYTES),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),  # who watches looks whether the service is alive
)


class ControlServer:
    """Answers at the socket in a service's folder, until it is closed. Anyone who may open the socket may ask.

    ``add`` puts the services of a role into the server, and ``invite`` returns a new address of its pages, if it shows
    some; one process alone may have a folder, which is the caller's to see to. The socket appears when it can be asked,
    and takes the place of one that a killed process left.

    Raises:
        StorageError: no socket can be made in the folder.
    """

    def __init__(
        self,
        folder: Path,
        role: str,
        add: Callable[[grpc.Server, Watchers], None],
        health: Health,
        invite: Callable[[], str] | None = None,
    ) -> None:
        self._place = folder / FOLDER
        self._open = ExitStack()
        self._watchers = Watchers()
        self._health = health
        _private(self._place)
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="control")
        self._server = grpc.server(
            pool, interceptors=(_Errors(),), options=OPTIONS, maximum_concurrent_rpcs=2 * AT_ONCE
        )
        add_ControlServicer_to_server(_Control(role, health), self._server)
        add_PagesServicer_to_server(_Pages(invite), self._server)
        health.add_to(self._server)
        add(self._server, self._watchers)
        making = f".{secrets.token_hex(4)}"  # gRPC removes the name that it was given when it ends
        try:
            with no_room_is_said(self._place):
                self._server.add_insecure_port(f"unix:{quote(self._open.enter_context(address(folder, making)))}")
            self._server.start()
            with no_room_is_said(self._place):
                (self._place / making).chmod(0o600)
                (self._place / making).replace(self._place / NAME)
        except BaseException as error:
            self._server.stop(None).wait(END_S)
            self._open.close()
            if isinstance(error, RuntimeError):  # which is all that gRPC says
                raise StorageError(
                    "a UNIX socket cannot be created here",
                    where=str(self._place),
                    do="Is there room, and is the disk local? Network shares often do not support sockets.",
                ) from error
            raise
        health.begin()

    def close(self) -> None:
        """Answer no more; those who watch are told the end."""
        (self._place / NAME).unlink(missing_ok=True)
        self._health.end()
        self._watchers.end()
        self._server.stop(END_S).wait(2 * END_S)
        self._open.close()


class Watchers:
    """Those who watch a service: not too many, and until it ends."""

    def __init__(self) -> None:
        self._room = threading.BoundedSemaphore(WATCHERS)
        self._ending = threading.Event()

    def tell(self, say: Callable[[], Answer], asked: WatchRequest) -> Iterator[Answer]:
        """Report the state, immediately and then at an interval, until the service ends.

        Raises:
            ServiceError: too many watch already.
        """
        if not self._room.acquire(blocking=False):
            raise ServiceError(
                f"{WATCHERS} others are already watching this service", do="Stop one of them with Ctrl-C."
            )
        try:
            yield say()
            while not self._ending.wait(min(max(asked.every_s, SOONEST_S), LATEST_S)):
                yield say()
        finally:
            self._room.release()

    def end(self) -> None:
        """End what they are told."""
        self._ending.set()


class _Control(ControlServicer):  # type: ignore[misc]  # generated, without types
    def __init__(self, role: str, health: Health) -> None:
        self._greeting = Greeting(version=VERSION, wardround=version("wardround"), role=role)
        self._health = health

    def Greet(self, request: Greeting, context: grpc.ServicerContext) -> Greeting:  # noqa: N802  # as in the .proto
        """Say who answers; whether both understand each other, the side that asks can tell."""
        return self._greeting

    def Troubles(self, request: Nothing, context: grpc.ServicerContext) -> TroubleList:  # noqa: N802
        """Say what keeps the service from its work."""
        return TroubleList(troubles=[to_message(error) for error in self._health.troubles().values()])


class _Pages(PagesServicer):  # type: ignore[misc]  # generated, without types
    def __init__(self, invite: Callable[[], str] | None) -> None:
        self._invite = invite

    def Invite(self, request: Nothing, context: grpc.ServicerContext) -> PageAddress:  # noqa: N802  # as in the .proto
        """Return a new address to whoever may command the service."""
        if self._invite is None:
            raise ServiceError("this service shows no pages", do="Stop it, and start it again with --page.")
        return PageAddress(address=self._invite())


class _Errors(grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC ships no types
    """Tells errors of our tree to the side that asks, and bugs to the log."""

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Wrap what answers a call."""
        handler = continuation(details)
        if handler is None or not details.method.startswith(OURS):
            return handler  # the health service answers itself, and keeps no thread for who watches
        how = (handler.request_deserializer, handler.response_serializer)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(_stream(handler.unary_stream), *how)
        return grpc.unary_unary_rpc_method_handler(_single(handler.unary_unary), *how)


def _single(answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def told(request: Any, context: Any) -> Any:
        try:
            return answer(request, context)
        except Exception as error:  # noqa: BLE001  # a bug ends one command, and not the service
            said = _said(error)
        return _abort(context, said)

    return told


def _stream(answer: Callable[[Any, Any], Iterator[Any]]) -> Callable[[Any, Any], Iterator[Any]]:
    def told(request: Any, context: Any) -> Iterator[Any]:
        try:
            yield from answer(request, context)
            return
        except Exception as error:  # noqa: BLE001  # as above
            said = _said(error)
        _abort(context, said)

    return told


def _said(error: Exception) -> Error:
    if not isinstance(error, WardroundError):
        log.error("a command failed because of a bug", exc_info=error)
        error = WardroundError("a bug in Wardround: see the service's log")
    error.__traceback__ = None  # an error that is kept, as that of a damaged run, would keep the call open
    return to_message(error)


def _abort(context: Any, said: Error) -> None:
    """End a call with an error, by an exception of gRPC's own."""
    context.set_trailing_metadata(((KEY, said.SerializeToString()),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, said.type)


def _private(place: Path) -> None:
    """Make the socket's folder, or clear out what killed processes left: the lock of the service's folder was taken."""
    with no_room_is_said(place):
        place.mkdir(exist_ok=True, mode=0o700, parents=True)
        place.chmod(0o700)  # volumes of a cluster may have been opened to a group
        for left in place.iterdir():
            if left.is_socket():
                left.unlink()
