"""Processes that read image files, so that a decoder that crashes or hangs costs one file and not the scan.

A reader is a Python of its own that is told files on its standard input and answers with records on its standard
output: it shares no thread, lock or memory with the program that scans, which may hold a GPU or a network connection.
It inherits nothing that a ``fork`` would copy in mid-use. Idle readers are kept for the next scan.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from wardround_client.intake.instance import Refusal
from wardround_client.intake.kept_pixels import Keeper
from wardround_client.intake.record import Record, read_record, to_json

FILES_A_BATCH = 24
SLOWEST_FILE_S = 120.0
"""A file that takes longer is refused as ``too-slow`` and its reader ended."""


@dataclass(eq=False)
class _Reader:
    process: subprocess.Popen[bytes]
    batch: list[str] = field(default_factory=list)
    since: float = 0.0

    def send(self, folder: Path, batch: list[str], keep: tuple[Path, int]) -> None:
        self.batch, self.since = batch, time.monotonic()
        kept_in, room = keep
        pipe = _pipe(self.process.stdin)
        with suppress(BrokenPipeError):  # it died: reading its answer will say so
            pipe.write(json.dumps([os.fspath(folder), batch, os.fspath(kept_in), room]).encode() + b"\n")
            pipe.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # what was not sent is lost with it
                _pipe(pipe).close()


_idle: list[_Reader] = []


def read_in_processes(
    folder: Path, files: Iterable[str], *, workers: int, kept_in: Path, room: int
) -> Iterator[tuple[str, str]]:
    """Read files in so many processes; gives each file with its record as JSON, as they are done.

    When a reader dies or hangs, its batch is read again one file at a time: the one that fails alone is refused as
    ``decoder-crashed`` or ``too-slow``. Decoded pixels are kept in the folder ``kept_in``, up to ``room`` bytes.
    """
    batches = deque(_batches(files))
    readers: list[_Reader] = []
    try:
        while batches or any(reader.batch for reader in readers):
            while batches and len(readers) < workers:
                readers.append(_idle.pop() if _idle else _start())
            for reader in readers:
                if batches and not reader.batch:
                    reader.send(folder, batches.popleft(), (kept_in, room // workers))
            for reader in _answering(readers):
                batch, late = reader.batch, _is_late(reader)
                line = b"" if late else _pipe(reader.process.stdout).readline()
                reader.batch = []
                if line.endswith(b"\n"):
                    used, records = json.loads(line)
                    room -= used
                    if batches:  # it reads on while this process writes down what it said
                        reader.send(folder, batches.popleft(), (kept_in, room // workers))
                    yield from zip(batch, records, strict=True)
                    continue
                reader.end()
                readers.remove(reader)
                if len(batch) > 1:
                    batches.extendleft([file] for file in reversed(batch))
                else:
                    yield batch[0], to_json(Record(_refused(batch[0], late=late)))
    finally:
        for reader in readers:
            if reader.batch:
                reader.end()  # interrupted: what it is reading is not wanted any more
            else:
                _idle.append(reader)


@atexit.register
def end_idle_readers() -> None:
    """End the readers that are kept for another scan."""
    while _idle:
        _idle.pop().end()


def _refused(file: str, *, late: bool) -> Refusal:
    if late:
        return Refusal(file, "too-slow", f"the file could not be read in {SLOWEST_FILE_S:.0f} s")
    return Refusal(file, "decoder-crashed", "the decoder crashed on this file, or ran out of memory")


def _batches(files: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for file in files:
        batch.append(file)
        if len(batch) == FILES_A_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _start() -> _Reader:
    # -P: the folder in which a person happens to stand holds no code of ours.
    command = [sys.executable, "-P", "-m", "wardround_client.intake.readers"]
    return _Reader(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))  # noqa: S603  # our own module


def _answering(readers: list[_Reader]) -> list[_Reader]:
    busy = [reader for reader in readers if reader.batch]
    if not busy:
        return []
    ready, _, _ = select.select([_pipe(reader.process.stdout) for reader in busy], [], [], 1.0)
    return [reader for reader in busy if reader.process.stdout in ready or _is_late(reader)]


def _is_late(reader: _Reader) -> bool:
    return time.monotonic() - reader.since > SLOWEST_FILE_S


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("a reader is started with pipes")
    return pipe


def _serve() -> None:
    """Answer batches of files with records until the other side is gone."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # decoders in C print what they find odd, and that may quote the file
        os.dup2(nowhere, stream)
    for line in sys.stdin.buffer:
        folder, files, kept_in, room = json.loads(line)
        keeper = Keeper(Path(kept_in), room)
        records = [to_json(read_record(Path(folder), file, keeper=keeper)) for file in files]
        keeper.close()
        answers.write(json.dumps([keeper.used, records]).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the scan, which ends its readers
    _serve()
