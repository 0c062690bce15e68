"""What the port sends reaches whoever takes it, and nobody ties up what it does not take."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from link import Authority, until
from wardround_common.canonical import Content
from wardround_common.messages.link_limits import LinkLimits
from wardround_server.link.port import PORTION_BYTES, Port

ANSWER: list[Content] = [b"head", np.arange(4_000_000, dtype=np.uint64).view(np.uint8).data, b"", b"end"]
BODY = np.arange(PORTION_BYTES, dtype=np.uint32).tobytes()  # four portions
WAIT_S = 60


class _Large:
    """Answers everybody with 32 MB, once it has read the body."""

    paths = frozenset({"/large"})

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        return 1

    async def hold(self, path: str, node: int) -> None:
        return

    def answer(self, path: str, node: int, body: Content) -> list[Content]:
        self.bodies.append(bytes(body))
        return ANSWER

    def said(self, path: str, node: int) -> Mapping[str, str]:
        return {}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def asking(authority: Authority, body: bytes, limits: LinkLimits) -> Iterator[tuple[_Large, Port, ssl.SSLSocket]]:
    desk = _Large()
    port = Port(desk, "127.0.0.1", 0, *authority.server, limits)
    port.start()
    try:
        tls = ssl.create_default_context(cafile=authority.certificate)
        with (
            socket.create_connection(("127.0.0.1", port.number), WAIT_S) as plain,
            tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            head = f"POST /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            yield desk, port, connection
    finally:
        port.stop()


def rest(connection: ssl.SSLSocket) -> bytes:
    came = bytearray()
    with suppress(ConnectionResetError, ssl.SSLError):
        while part := connection.recv(2**16):
            came += part
    return bytes(came)


def test_a_large_body_and_a_large_answer_arrive_whole(authority: Authority) -> None:
    with asking(authority, BODY, LinkLimits()) as (desk, _, connection):
        head, _, content = rest(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert content == b"".join(ANSWER)
    assert desk.bodies == [BODY]


def test_an_answer_does_not_wait_until_its_head_is_acknowledged(authority: Authority) -> None:
    with asking(authority, b"", LinkLimits()) as (_, port, connection):
        until(lambda: port._known)
        ((accepted, _),) = port._known.values()
        assert accepted.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        rest(connection)


def test_who_does_not_take_an_answer_is_cut_off_in_time(authority: Authority) -> None:
    with asking(authority, b"", LinkLimits(body_s=0.3)) as (_, port, connection):
        until(lambda: not port._known and port.bytes_out)  # it was asked, and the connection is gone
        assert len(rest(connection)) < sum(map(len, ANSWER))
