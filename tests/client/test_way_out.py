"""From a hospital's container one tunnel leads out: to the coordinator's address, and to nothing else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from test_supernode import _proxy

from link import Place, until
from wardround_client.link import way_out
from wardround_client.link.way_out import HEAD_BYTES, WayOut, main, serve


@contextmanager
def opened(way: WayOut) -> Iterator[int]:
    """Run a way out in a thread; give its port."""
    ports: list[int] = []
    end: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        over = asyncio.Event()
        end.append((asyncio.get_running_loop(), over))
        async with await serve(way, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            await over.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0.05)), *others], timeout=5)
        await asyncio.sleep(0.05)  # what is closed is gone after another turn

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    until(lambda: ports)
    try:
        yield ports[0]
    finally:
        loop, over = end[0]
        loop.call_soon_threadsafe(over.set)
        thread.join(60)


def answer(port: int, content: bytes) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as connection:
        connection.sendall(content)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


@pytest.mark.parametrize("through_a_proxy", [False, True])
def test_a_hospital_reaches_its_coordinator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through_a_proxy: bool
) -> None:
    place, asked = Place(tmp_path), list[bytes]()
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with place.coordinator("mercy") as link, _proxy(asked) as proxy:
        way = WayOut(place.address, f"http://127.0.0.1:{proxy}" if through_a_proxy else "")
        with opened(way) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            with place.hospital("mercy"):
                until(link.here)
        assert bool(asked) is through_a_proxy
        assert all(head.startswith(f"CONNECT {place.address} ".encode()) for head in asked)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_hospital_is_told_why_its_way_out_does_not_lead_to_its_coordinator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    place = Place(tmp_path)
    place.port = 1  # nobody listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with opened(WayOut("fl.example.org:9093" if elsewhere else place.address)) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with place.hospital("mercy") as node:
            until(lambda: node.status.fault)
            said = str(node.status.fault)
    if elsewhere:
        assert "leads elsewhere (403 Another address)" in said
        assert "Set COORDINATOR=127.0.0.1:1 and start the containers again." in said
    else:
        assert "does not reach the coordinator (502 Unreachable)" in said
    assert "Check HTTPS_PROXY" not in said


def test_every_other_address_and_every_other_request_is_refused() -> None:
    met: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as elsewhere, socket.create_server(("127.0.0.1", 0)) as there:
        elsewhere.settimeout(0.2)
        port_there, other = there.getsockname()[1], elsewhere.getsockname()[1]
        with opened(WayOut(f"127.0.0.1:{port_there}")) as port:
            for asked, status in (
                (f"CONNECT 127.0.0.1:{other} HTTP/1.1", 403),
                (f"CONNECT localhost:{port_there} HTTP/1.1", 403),  # letter by letter
                (f"CONNECT 127.0.0.1:{port_there}0 HTTP/1.1", 403),
                (f"GET http://127.0.0.1:{other}/ HTTP/1.1", 405),
                (f"CONNECT 127.0.0.1:{port_there} HTTP/1.1 more", 405),
                ("nonsense", 405),
            ):
                head = f"{asked}\r\nhost: 127.0.0.1:{port_there}\r\n\r\n".encode()
                assert answer(port, head).startswith(f"HTTP/1.1 {status} ".encode()), asked
            with pytest.raises(TimeoutError):
                met.append(elsewhere.accept()[0])
    assert met == []


def test_a_head_without_end_and_too_many_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_out, "HEAD_S", 0.2)
    with opened(WayOut("127.0.0.1:1")) as port:
        assert answer(port, b"CONNECT") == b""
        with suppress(ConnectionError):  # it is closed, with or without what it sent having been read
            assert answer(port, b"x" * (4 * HEAD_BYTES)) == b""
        assert answer(port, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 502 ")
        monkeypatch.setattr(way_out, "TUNNELS", 0)
        assert answer(port, b"") == b""


@pytest.mark.parametrize("arguments", [[], ["--to", ""], ["--to", "fl.example.org"], ["--to", "a:1", "--through", "b"]])
def test_an_address_that_is_missing_or_wrong_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) != 0
    assert "COORDINATOR" in capsys.readouterr().err
