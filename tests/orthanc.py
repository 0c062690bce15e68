"""A real archive for tests: Orthanc of Debian, on loopback, with a configuration and a folder of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmwrite

PROGRAM = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
PLUGINS = Path("/usr/share/orthanc/plugins")
INSTALLED = PROGRAM is not None and (PLUGINS / "libOrthancDicomWeb.so").exists()
needs_orthanc = pytest.mark.skipif(
    not INSTALLED, reason="Orthanc is not installed here (Debian: apt-get install orthanc orthanc-dicomweb)"
)
TITLE = "ARCHIVE"
OURS = "WARDROUND"
STARTS_S = 60


@dataclass(frozen=True)
class Orthanc:
    """An archive that runs."""

    port: int
    """Of DICOM."""
    http: int
    receiver: int
    """Where it sends what is moved to the AE title ``WARDROUND``: nobody listens there yet."""
    folder: Path

    @property
    def web(self) -> str:
        """The address of its DICOMweb."""
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def add(self, *made: Dataset) -> None:
        """Put objects into the archive, past DICOM."""
        for dataset in made:
            path = self.folder / "added.dcm"
            dcmwrite(path, dataset, enforce_file_format=True)
            self.rest("/instances", path.read_bytes())

    def rest(self, path: str, body: bytes | None = None, method: str | None = None) -> Any:
        """Ask Orthanc's own interface."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data=body, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def clear(self) -> None:
        """Remove every patient."""
        for patient in self.rest("/patients"):
            self.rest(f"/patients/{patient}", method="DELETE")


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens at now."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]


@contextmanager
def orthanc(folder: Path, receiver: int | None = None, **settings: object) -> Iterator[Orthanc]:
    """Run Orthanc with these settings beside those that every test needs."""
    folder.mkdir(parents=True, exist_ok=True)
    port, http, free = free_ports(3)
    receiver = receiver or free
    every: Mapping[str, object] = {
        "Name": "tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomAet": TITLE,
        "DicomPort": port,
        "HttpPort": http,
        "DicomCheckCalledAet": True,
        "DicomModalities": {"ours": [OURS, "127.0.0.1", receiver]},
        "RemoteAccessAllowed": False,
        "SyncStorageArea": False,
        "ConcurrentJobs": 1,
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps({**every, **settings}))
    archive = Orthanc(port, http, receiver, folder)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(PROGRAM), str(configuration)], stdout=log, stderr=log)
        try:
            _wait_until_it_answers(archive, process)
            yield archive
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_it_answers(archive: Orthanc, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTS_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            archive.rest("/system")
            with socket.create_connection(("127.0.0.1", archive.port), 1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"Orthanc did not start: {(archive.folder / 'log').read_text()[-2000:]}")


@contextmanager
def behind_tls(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """Speak TLS at a free port for a service that speaks none, as a hospital's proxy does.

    Orthanc's own HTTPS cannot be used here: Debian's 1.10.1 ends at the first request.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await source.read(1 << 16):
                sink.write(part)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pump(reader, outer), pump(inner, writer))
        except asyncio.CancelledError:
            for each in (writer, outer):
                each.transport.abort()
            raise
        for each in (writer, outer):
            each.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:

        async def end() -> None:
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)  # transports close in the next turn

        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
