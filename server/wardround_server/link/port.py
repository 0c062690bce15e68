"""The coordinator's one public port: TLS, an allow-list of paths, and limits on what a stranger can tie up.

A request is judged by its head alone before a byte of its body is read. Until then its sender is a stranger: strangers
have little time, there is a bound on how many are connected, and the oldest make room for new ones.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
import threading
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from wardround_common.canonical import Content
from wardround_common.errors import FullDiskError, StorageError
from wardround_common.listening import listening
from wardround_common.messages.link_limits import LinkLimits
from wardround_common.messages.transfers import PORTION_BYTES, portions, together

log = logging.getLogger(__name__)

HEALTH = "/health"
FIRST_REFUSAL = 400  # a health check is answered in the same way, with 200
THREADS = 8  # answers made at a time; the database lets one write at a time anyway
OPEN_FILES = 16_384
CLOSE = (b"connection", b"close")


@dataclass(frozen=True)
class Doorway:
    """What one connection, and all strangers together, may tie up before anything is taken from them."""

    handshake_s: float = 10.0
    head_s: float = 10.0
    idle_s: int = 75
    strangers: int = 256
    connections_each: int = 16  # of one hospital


class Refused(Exception):  # noqa: N818  # an answer to a request, not a failure
    """A request is refused with an HTTP status and one word that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


def refused_by_disk(error: StorageError) -> Refused:
    """Return what a hospital is told where files cannot be read or written here: a full disk has a word of its own."""
    return Refused(507, "full") if isinstance(error, FullDiskError) else Refused(503, "storage")


class Desk(Protocol):
    """Who may ask and what is answered; the port itself knows neither keys nor messages."""

    paths: frozenset[str]

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        """Say who asks (the number of a node), from the request's head alone; quick, called in the event loop.

        Raises:
            Refused: nobody that may.
        """

    async def hold(self, path: str, node: int) -> None:
        """Wait while there is nothing to answer, for a few seconds at most."""

    def answer(self, path: str, node: int, body: Content) -> list[Content]:
        """Answer the request, in pieces; called in a thread.

        Raises:
            Refused: the request is not one that this node may make.
        """

    def said(self, path: str, node: int) -> Mapping[str, str]:
        """Return the headers of that answer besides; quick, called in the event loop."""


class _Connection(H11Protocol, asyncio.BufferedProtocol):
    """uvicorn's connection, with a time for each head to be complete.

    What comes is read into the port's one buffer: by itself asyncio takes 256 KiB from the system for each 16 of TLS.
    """

    port: Port
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(PORTION_BYTES // 2)
        self._expect_head()
        self.port.meet(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.port.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.port.buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._between_requests() and self._head_timer is None:
            self._expect_head()
        super().data_received(data)
        if not self._between_requests():
            self._head_came()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        self.port.part(self)
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.port.doorway.head_s, self.transport.abort)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose servers give a TLS handshake as little time as a head."""

    handshake_s = 10.0

    async def create_server(self, *arguments: Any, **options: Any) -> asyncio.Server:
        return await super().create_server(*arguments, ssl_handshake_timeout=self.handshake_s, **options)


class Port:
    """A TLS port that serves a desk's paths and ``/health``, in a thread of its own; everything else is 404.

    It has no web framework, so there is no second interface of Flower's to hide.
    """

    def __init__(
        self,
        desk: Desk,
        host: str,
        port: int,
        certificate: Path,
        key: Path,
        limits: LinkLimits | None = None,
        doorway: Doorway | None = None,
    ) -> None:
        self.limits = limits or LinkLimits()
        self.doorway = doorway or Doorway()
        self.bytes_in = self.bytes_out = 0
        """Bodies of requests that were admitted, and of answers."""
        self.refused: Counter[int] = Counter()
        """Requests that were refused, by status."""
        self.buffer = memoryview(bytearray(PORTION_BYTES))
        """Into which a connection's bytes are read, to be copied from it before anything else happens."""
        self._desk = desk
        self._strangers: OrderedDict[tuple[str, int], _Connection] = OrderedDict()
        self._known: dict[tuple[str, int], tuple[_Connection, int]] = {}
        self._connections_of: Counter[int] = Counter()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self.renew(certificate, key)
        _allow_many_files()
        try:
            self._socket = listening(host, port, backlog=1024)
        except OSError as error:
            raise StorageError(
                f"the port cannot be opened ({error.strerror})",
                where=f"{host}:{port}",
                do="Stop whatever is using it, or name another port.",
            ) from error
        self.number: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self._serve,
            http=type("_ConnectionOfThisPort", (_Connection,), {"port": self}),
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=self.doorway.idle_s,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=self.limits.head_bytes,
        )
        config.load()
        config.ssl = self._tls
        self._server = uvicorn.Server(config)
        self._loop = _Loop()
        self._loop.handshake_s = self.doorway.handshake_s
        self._answers = ThreadPoolExecutor(THREADS, "answer")
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="port", daemon=True)

    def renew(self, certificate: Path, key: Path) -> None:
        """Use another certificate for connections that come from now on.

        Raises:
            StorageError: certificate or key cannot be read, or do not belong together.
        """
        try:
            self._tls.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise StorageError(
                f"the server's certificate or key cannot be used ({error})",
                where=str(certificate),
                do="Name the certificate and the key that belongs to it.",
            ) from error

    def start(self) -> None:
        """Serve from now on; returns when the port answers."""
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """End the port; requests in progress get a second."""
        self._server.should_exit = True
        self._thread.join()
        self._answers.shutdown(wait=True, cancel_futures=True)
        self._socket.close()

    def call_soon(self, action: Callable[[], object]) -> None:
        """Let the event loop do something soon; from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(action)

    def expel(self, node: int) -> None:
        """Close the connections of a node that is known no more."""

        def close() -> None:
            for connection, owner in list(self._known.values()):
                if owner == node:
                    connection.transport.abort()

        self.call_soon(close)

    def meet(self, connection: _Connection) -> None:
        """Count a new connection among the strangers; the oldest makes room."""
        if connection.client is None:
            connection.transport.abort()
            return
        self._strangers[connection.client] = connection
        if len(self._strangers) > self.doorway.strangers:
            _, oldest = self._strangers.popitem(last=False)
            oldest.transport.abort()

    def part(self, connection: _Connection) -> None:
        """Forget a connection that ended."""
        if connection.client is None:
            return
        if self._strangers.get(connection.client) is connection:
            del self._strangers[connection.client]
        known = self._known.get(connection.client)
        if known and known[0] is connection:
            del self._known[connection.client]
            self._connections_of[known[1]] -= 1

    def _break_off(self, client: tuple[str, int]) -> None:
        """End a connection whose other end does not take what it asked for."""
        known = self._known.get(client)
        connection = known[0] if known else self._strangers.get(client)
        if connection is not None:
            connection.transport.abort()

    def _acquaint(self, client: tuple[str, int], node: int) -> None:
        connection = self._strangers.pop(client, None)
        if connection is None:
            if client not in self._known or self._known[client][1] != node:
                raise Refused(401, "connection")  # one connection is one node's
            return
        if self._connections_of[node] >= self.doorway.connections_each:
            self._strangers[client] = connection
            raise Refused(429, "connections")
        self._known[client] = (connection, node)
        self._connections_of[node] += 1

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def serve() -> None:
            serving = asyncio.ensure_future(self._server.serve(sockets=[self._socket]))
            while not self._server.started and not serving.done():
                await asyncio.sleep(0.005)
            self._started.set()
            await serving

        try:
            self._loop.run_until_complete(serve())
        finally:
            self._started.set()
            self._loop.run_until_complete(self._clear())
            self._loop.close()

    async def _clear(self) -> None:
        """End what is left when the server has stopped."""
        own = asyncio.current_task()
        rest = [task for task in asyncio.all_tasks() if task is not own]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for connection in [*self._strangers.values(), *(each for each, _ in self._known.values())]:
            connection.transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _serve(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        try:
            content, more = await self._answer(scope, receive)
            status, headers = 200, [(b"content-type", b"application/protobuf"), *more]
        except Refused as refused:
            status, content, headers = refused.status, [refused.why.encode()], [CLOSE]
            if status >= FIRST_REFUSAL:
                self.refused[status] += 1
        size = sum(map(len, content))
        self.bytes_out += size
        headers.append((b"content-length", str(size).encode()))
        try:
            async with asyncio.timeout(self.limits.body_s):
                await send({"type": "http.response.start", "status": status, "headers": headers})
                for portion in portions(content):
                    await send({"type": "http.response.body", "body": portion, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            self._break_off(tuple(scope["client"]))

    async def _answer(
        self, scope: Any, receive: Callable[[], Awaitable[Any]]
    ) -> tuple[list[Content], list[tuple[bytes, bytes]]]:
        path = scope["path"]
        if path == HEALTH and scope["method"] in ("GET", "HEAD"):
            raise Refused(200, "ok")  # and the connection is closed: a health check keeps none
        if path not in self._desk.paths or scope["method"] != "POST":
            raise Refused(404, "path")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if not headers.get("content-length", "").isdecimal() or "transfer-encoding" in headers:  # which would hold
            raise Refused(411, "length")
        if int(headers["content-length"]) > self.limits.body_bytes:
            raise Refused(413, "size")
        node = self._desk.admit(path, headers)
        self._acquaint(tuple(scope["client"]), node)
        try:
            async with asyncio.timeout(self.limits.body_s):
                parts = await _read(receive, int(headers["content-length"]))
        except TimeoutError:
            raise Refused(408, "slow") from None
        self.bytes_in += sum(map(len, parts))
        await self._desk.hold(path, node)

        def answer() -> list[Content]:
            body = together(parts)
            return self._desk.answer(path, node, body)

        try:
            content = await self._loop.run_in_executor(self._answers, answer)
            return content, [(name.encode(), value.encode()) for name, value in self._desk.said(path, node).items()]
        except Refused:
            raise
        except StorageError as error:
            log.error("%s", error)
            raise refused_by_disk(error) from None
        except Exception:
            log.exception("the answer to %s of node %d failed", path, node)
            raise Refused(500, "bug") from None


async def _read(receive: Callable[[], Awaitable[Any]], size: int) -> list[bytes]:
    """Read a body of ``size`` bytes, as its head states; what comes is counted, whatever frames it.

    Raises:
        Refused: it ends before, or is longer.
    """
    parts: list[bytes] = []
    left = size
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Refused(400, "gone")
        part = event.get("body", b"")
        left -= len(part)
        if left < 0:
            raise Refused(413, "size")
        parts.append(part)
        if not event.get("more_body"):
            return parts


def _allow_many_files() -> None:
    """Let this process open as many files as it is allowed to, so that idle strangers do not use them up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
