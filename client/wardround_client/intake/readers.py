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

from wardround_client.images.plugin_formats import alone, formats_let_in, hung, let_in
from wardround_client.intake.instance import Refusal
from wardround_client.intake.kept_pixels import Keeper, Room
from wardround_client.intake.record import Record, from_json, read_record, to_json
from wardround_common.errors import ImageRefused, PluginError

FILES_A_BATCH = 24
WORTH_A_READER = 8 * FILES_A_BATCH
"""Files left that are worth another reader at the end: it takes about as long to start as they take to read."""
SLOWEST_FILE_S = 120.0
"""A file that takes longer is refused as ``too-slow`` and its reader ended."""
ENDS_A_READER = frozenset({"decoder-crashed", "too-slow"})
"""Why a file is refused that costs its reader."""


@dataclass(eq=False)
class _Reader:
    process: subprocess.Popen[bytes]
    batch: list[str] = field(default_factory=list)
    since: float = 0.0
    lent: int = 0
    """Bytes of the room for kept pixels that it may fill with this batch."""
    formats: tuple[str, ...] = ()
    """The formats of plug-ins that it reads."""

    def send(self, folder: Path, batch: list[str], kept_in: Path, lent: int) -> None:
        self.batch, self.since, self.lent = batch, time.monotonic(), lent
        pipe = _pipe(self.process.stdin)
        with suppress(BrokenPipeError):  # it died: reading its answer will say so
            pipe.write(json.dumps([os.fspath(folder), batch, os.fspath(kept_in), lent, self.formats]).encode() + b"\n")
            pipe.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # what was not sent is lost with it
                _pipe(pipe).close()


_idle: list[_Reader] = []


@dataclass(eq=False)
class _Queue:
    """What the readers have still to do, filled as the caller finds it."""

    files: Iterator[str | tuple[str, str]]
    found: deque[str] = field(default_factory=deque)
    alone: deque[str] = field(default_factory=deque)
    """Files of a batch whose reader died: one of them is the cause."""
    complete: bool = False

    def look(self) -> tuple[str, str] | None:
        """Find files for the readers, a batch at most; stops at a record that is there already, and gives it."""
        for one in self.files:
            if not isinstance(one, str):
                return one
            self.found.append(one)
            if len(self.found) % FILES_A_BATCH == 0:
                return None
        self.complete = True
        return None

    def batch(self) -> list[str]:
        """Take the next batch; nothing while it may still become a full one."""
        if self.alone:
            return [self.alone.popleft()]
        if len(self.found) < FILES_A_BATCH and not self.complete:
            return []
        return [self.found.popleft() for _ in range(min(FILES_A_BATCH, len(self.found)))]

    def __bool__(self) -> bool:
        return bool(self.alone or self.found or not self.complete)


def read_in_processes(
    folder: Path,
    files: Iterable[str | tuple[str, str]],
    *,
    workers: int,
    kept_in: Path,
    room: Room,
    at_the_end: int = 0,
) -> Iterator[tuple[str, str]]:
    """Read files in several processes; yields each file with its record as JSON, as they finish.

    ``files`` may read some files itself: it gives those with their records, which are passed on, and the others by
    name. It is run while the readers work, and never waited for by them longer than it takes to read one file. Once
    it has no more, ``at_the_end`` readers share what is left, if that is worth starting one.

    When a reader dies or hangs, its batch is read again one file at a time: the one that fails alone is refused as
    ``decoder-crashed`` or ``too-slow``. A reader in which a plug-in's format hangs is ended too, since it calls that no
    more, and others read the rest of its batch. Decoded pixels are kept in the folder ``kept_in``, as long as there is
    room.

    Raises:
        PluginError: a plug-in whose format this process reads is not installed so any more, or keeps what it read.
    """
    queue = _Queue(iter(files))
    readers: list[_Reader] = []

    def most() -> int:
        worth_it = queue.complete and len(queue.found) >= WORTH_A_READER
        return max(workers, at_the_end) if worth_it else workers

    def employ(reader: _Reader) -> None:
        if batch := queue.batch():
            idle = max(most(), len(readers)) - sum(bool(one.batch) for one in readers)
            reader.send(folder, batch, kept_in, room.lend(idle if queue.complete else idle + 1))

    try:
        while queue or any(reader.batch for reader in readers):
            finished = queue.look()
            while (queue.found or queue.alone) and len(readers) < most():
                readers.append(_employed())  # long before its batch is full: it has to import
            for reader in readers:
                if not reader.batch:
                    employ(reader)
            if finished is not None:
                yield finished
            for reader, answer in _answers(readers, timeout_s=1.0 if queue.complete else 0.0):
                batch, reader.batch = reader.batch, []
                if answer is not None and answer.endswith(b"\n"):
                    used, records, last = json.loads(answer)
                    room.give_back(reader.lent - used)
                    if last is None:
                        employ(reader)  # it reads on while this process writes down what it said
                    else:
                        reader.end()
                        readers.remove(reader)
                        queue.found.extendleft(reversed(batch[len(records) :]))
                    if last:
                        raise PluginError(last["what"], where=last["where"], do=last["do"])
                    yield from zip(batch, records, strict=False)
                    continue
                room.give_back(reader.lent)
                reader.end()
                readers.remove(reader)
                if len(batch) > 1:
                    queue.alone.extend(batch)
                else:
                    yield batch[0], to_json(Record(_refused(batch[0], late=answer is None)))
    finally:
        for reader in readers:
            if reader.batch:
                reader.end()  # interrupted: what it is reading is not wanted any more
            else:
                _idle.append(reader)


def try_in_a_process(files: Iterable[Path]) -> None:
    """Decode files in a process of their own, for nothing but to see that it survives.

    Raises:
        ImageRefused: the decoder crashes, or hangs, on one of them.
    """
    nowhere = Path(os.devnull)  # with no room, no pixels are kept
    names = [os.fspath(path) for path in files]
    for _, answer in read_in_processes(Path("/"), names, workers=1, kept_in=nowhere, room=Room(0)):
        read = from_json(answer).read
        if isinstance(read, Refusal) and read.reason in ENDS_A_READER:
            raise ImageRefused(read.reason, read.detail)


@atexit.register
def end_idle_readers() -> None:
    """End the readers that are kept for another scan."""
    while _idle:
        _idle.pop().end()


def _refused(file: str, *, late: bool) -> Refusal:
    if late:
        return Refusal(file, "too-slow", f"the file could not be read in {SLOWEST_FILE_S:.0f} s")
    return Refusal(file, "decoder-crashed", "the decoder crashed on this file, or ran out of memory")


def _employed() -> _Reader:
    """Return a reader of the formats that this process reads: an idle one, or a new one."""
    formats = formats_let_in()
    idle = next((one for one in _idle if one.formats == formats), None)
    if idle is None:
        return _start(formats)
    _idle.remove(idle)
    return idle


def _start(formats: tuple[str, ...]) -> _Reader:
    # -P: the folder in which a person happens to stand holds no code of ours.
    command = [sys.executable, "-P", "-m", "wardround_client.intake.readers"]
    # It finds the packages that were compared here.
    where = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} if formats else {}
    process = subprocess.Popen(  # noqa: S603  # our own module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | where,
    )
    return _Reader(process, formats=formats)


def _answers(readers: list[_Reader], *, timeout_s: float) -> list[tuple[_Reader, bytes | None]]:
    """Wait for answers that long; None is that of a reader that is late, whose answer is not there."""
    busy = [reader for reader in readers if reader.batch]
    if not busy:
        return []
    ready, _, _ = select.select([_pipe(reader.process.stdout) for reader in busy], [], [], timeout_s)
    answers: list[tuple[_Reader, bytes | None]] = []
    for reader in busy:
        if reader.process.stdout in ready:  # however late it is: this process may have been busy
            answers.append((reader, _pipe(reader.process.stdout).readline()))
        elif time.monotonic() - reader.since > SLOWEST_FILE_S:
            answers.append((reader, None))
    return answers


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("a reader is started with pipes")
    return pipe


def _serve() -> None:
    """Answer batches of files with records until the other side is gone."""
    answers = os.fdopen(os.dup(1), "wb")
    alone()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # decoders in C print what they find odd, and that may quote the file
        os.dup2(nowhere, stream)
    for line in sys.stdin.buffer:
        folder, files, kept_in, room, formats = json.loads(line)
        keeper, records = Keeper(Path(kept_in), Room(room)), []
        last: dict[str, str] | None = None  # why this is the last answer: nothing to say of it if a format hangs
        try:
            let_in(formats)
            for file in files:
                records.append(to_json(read_record(Path(folder), file, keeper=keeper)))
                if hung():
                    last = {}
                    break
        except PluginError as error:
            last = {"what": error.what, "where": error.where, "do": error.do}
        keeper.close()
        answers.write(json.dumps([keeper.used, records, last]).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the scan, which ends its readers
    _serve()
