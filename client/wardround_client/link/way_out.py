"""The only way out of a hospital's container: a proxy that opens tunnels to the coordinator and nowhere else.

It runs in a container of its own next to the hospital's, which has no other network (``docker/compose.hospital.yaml``).
It has neither keys nor images, reads nothing of what passes (TLS ends in the hospital and in the coordinator), and
refuses every other address. ``python -m wardround_client.link.way_out --to fl.example.org:9093 [--through http://proxy:3128]``
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wardround_common.addresses import split_address
from wardround_common.errors import LinkError, MessageError, WardroundError

PORT = 3128
HEAD_BYTES, HEAD_S = 8 * 1024, 10.0
TUNNELS = 64  # at a time; a hospital's link has 16 connections at most
CHUNK = 64 * 1024
ANOTHER, UNREACHABLE = "Another address", "Unreachable"
"""Why no tunnel is opened: it leads elsewhere, or does not come to the coordinator."""
_END_OF_HEAD = b"\r\n\r\n"


@dataclass
class WayOut:
    """Opens tunnels to one address, by itself or through the site's own proxy."""

    to: str
    """``host:port``, as in the invitation; compared letter by letter."""
    through: str = ""
    """The site's proxy, ``http://host:port``, if there is one."""
    _open: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Check both addresses.

        Raises:
            MessageError: one of them is not an address.
        """
        if not self.to:
            raise MessageError("the address of the coordinator is not given")
        split_address(self.to)
        if self.through and not (urlsplit(self.through).hostname and urlsplit(self.through).port):
            raise MessageError(f"{self.through} is not a proxy address", do="Name it as http://HOST:PORT.")

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: a tunnel if it asks for the one address, else a refusal."""
        if self._open >= TUNNELS:
            writer.close()
            return
        self._open += 1
        try:
            answer = await self._asked(reader)
            if answer:
                writer.write(f"HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            try:
                out_reader, out_writer = await asyncio.wait_for(self._connected(), HEAD_S)
            except (OSError, TimeoutError, LinkError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                writer.write(f"HTTP/1.1 502 {UNREACHABLE}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            try:
                await asyncio.gather(_pump(reader, out_writer), _pump(out_reader, writer))
            finally:
                out_writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # whoever asked is gone, was too slow, or asked for nothing
        finally:
            self._open -= 1
            writer.close()

    async def _asked(self, reader: asyncio.StreamReader) -> str:
        """Read what is asked for; give the refusal, or nothing if it is the one address."""
        head = await asyncio.wait_for(reader.readuntil(_END_OF_HEAD), HEAD_S)
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or words[0] != "CONNECT" or not words[2].startswith("HTTP/1."):
            return "405 Only CONNECT"
        return "" if words[1] == self.to else f"403 {ANOTHER}"

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self.through:
            host, port = split_address(self.to)
            return await asyncio.open_connection(host, port, limit=CHUNK)
        proxy = urlsplit(self.through)
        reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port, limit=CHUNK)
        writer.write(f"CONNECT {self.to} HTTP/1.1\r\nhost: {self.to}\r\n\r\n".encode())
        head = await reader.readuntil(_END_OF_HEAD)
        if head.split(b" ")[1:2] != [b"200"]:
            writer.close()
            raise LinkError("the site's proxy refuses to open a tunnel", where=self.through)
        return reader, writer


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(CHUNK):
        writer.write(part)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):  # it is closed already
        writer.write_eof()


async def serve(way: WayOut, host: str, port: int) -> asyncio.Server:
    """Serve from now on.

    Raises:
        OSError: the port is taken.
    """
    return await asyncio.start_server(way.meet, host, port, limit=HEAD_BYTES)


async def _serve(way: WayOut) -> None:
    server = await serve(way, "0.0.0.0", PORT)  # noqa: S104  # of its own container: only the hospital's reaches it
    async with server:
        await server.serve_forever()


def main(arguments: Sequence[str]) -> int:
    """Serve the container's port until the container ends."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    try:
        way = WayOut(given.get("--to", ""), given.get("--through", ""))
    except WardroundError as error:
        do = "Set COORDINATOR to the address in the invitation, such as fl.example.org:9093."
        sys.stderr.write(f"Error: {error}\n{do}\n")
        return error.exit_code
    asyncio.run(_serve(way))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
