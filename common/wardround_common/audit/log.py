"""An audit log on disk: JSON lines in segments, each entry signed over all before it, and on disk before it counts.

::

    audit/000000000001.jsonl  entries from number 1 on; a file of 8 MiB is followed by another, named by its first entry
    audit/head                how far the log has come, signed; two slots, written in turn, so that one is always whole
    audit/torn-NUMBER         what a power cut left of a line: nothing rested on it, and it is kept to be looked at
    audit/pending             a change of files that goes with the next entry (``pending``), while it is under way
    audit/lock                several processes may note: the service, and the commands of its people
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from wardround_common.audit.entries import LARGEST_LINE, OPENED, AuditHead, AuditRow, Fact, body_of, line_of, read_line
from wardround_common.audit.pending import Change, finish, give_up, prepare, take_up
from wardround_common.documents.signed_chain import FIRST_LINK
from wardround_common.errors import CHECK_FILE, MessageError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.keys.key_files import private_folder
from wardround_common.storage import cannot_be_written, flush_names, no_room_is_said, write_atomically

NAME = "audit"
SEGMENT_BYTES = 8 * 2**20
SLOT_BYTES = 256


def _now() -> datetime:
    return datetime.now(UTC)


class AuditLog:
    """The log of one hospital or of the coordinator, for writing. Nothing is read or made before the first entry.

    ``of`` is "hospital" or "coordinator", ``name`` the hospital's name or the coordinator's address.
    """

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        of: str,
        name: str,
        *,
        clock: Callable[[], datetime] = _now,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.folder = folder
        self._identity = identity
        self._of = of
        self._name = name
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._segment: Path | None = None
        self._offset = 0
        self._number = 0
        self._link = FIRST_LINK

    def note(self, what: str, facts: Mapping[str, Fact] | None = None, change: Change | None = None) -> None:
        """Add an entry; it is on the disk when this returns, and so is the ``change`` of files that it tells of.

        Entry and change happen both or not at all: what a crash cuts off after the entry is done before the next one.

        Raises:
            StorageError: it cannot be written, or the log was changed by somebody else.
        """
        with self._alone():
            self._catch_up()
            if change is None:
                self._append(what, facts or {})
                return
            prepare(self.folder, self._number + 1, change)
            try:
                self._append(what, facts or {})
            except StorageError:
                give_up(self.folder)
                raise
            finish(self.folder)

    def head(self) -> AuditHead | None:
        """Say how far the log had come when this process last wrote; None before it did."""
        with self._lock:
            return AuditHead.signed(self._identity, self._number, self._link) if self._number else None

    def look(self) -> AuditHead | None:
        """Say how far the log on the disk has come, None if there is none; nothing is written.

        Raises:
            StorageError: it cannot be read, or was changed by somebody else.
        """
        with self._lock:
            self._forget()
            try:
                self._follow_what_is_new()
                return AuditHead.signed(self._identity, self._number, self._link) if self._number else None
            finally:
                self._forget()

    def export(self, path: Path) -> None:
        """Write the whole log to one file, which the other side can check; its last entry says that and when.

        A copy of a log that cannot be written is exported as it is.

        Raises:
            StorageError: as :meth:`note`, or there is a file already, or it cannot be written.
        """
        if path.exists() or path.is_symlink():
            raise StorageError("this file already exists", where=str(path), do="Name another.")
        try:
            self.note("log exported")
        except StorageError as error:
            if not cannot_be_written(error):
                raise
            self.look()  # a log that does not hold is not given out
        content = b"".join(segment.read_bytes() for segment in segments(self.folder))
        write_atomically(path, content[: content.rfind(b"\n") + 1])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads and processes from writing; after a fault all is read again."""
        with self._lock:
            private_folder(self.folder)
            with no_room_is_said(self.folder):
                lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            except StorageError:
                self._forget()
                raise
            finally:
                os.close(lock)

    def _forget(self) -> None:
        self._segment, self._offset, self._number, self._link = None, 0, 0, FIRST_LINK

    def _catch_up(self) -> None:
        """Read what is there; finish what a crash cut off, mend the end, and begin a log that is empty."""
        torn = self._follow_what_is_new()
        take_up(self.folder, self._number)
        if self._segment is not None and torn:
            self._set_aside(self._segment, torn)
        if not self._number:
            self._append(OPENED, {"of": self._of, "name": self._name, "key": self._identity.public.hex()})
        if torn:
            self._append("log mended", {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()})

    def _follow_what_is_new(self) -> bytes:
        """Read what others have added since, and what there was before; return what is no whole line at the end."""
        known = segments(self.folder)
        if self._segment is not None and self._segment not in known:
            raise self._broken(f"lost a file while it was in use, after entry {self._number}")
        # At first the last two: the last may not have a whole line yet.
        behind = known[-2:] if self._segment is None else [path for path in known if path >= self._segment]
        head, torn, read = read_head(self.folder), b"", self._segment is None
        for path in behind:
            start = self._offset if path == self._segment else 0
            content = self._read(path, start)
            read = read or bool(content)
            torn = self._follow(path, start, content, head, last=path == known[-1])
        if read:
            self._check_head(head)
        return torn

    def _read(self, path: Path, start: int) -> bytes:
        try:
            with path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < start:
                    raise self._broken("was cut short while it was in use")
                file.seek(start)
                return file.read()
        except OSError as error:
            raise StorageError(
                f"the audit log cannot be read ({error.strerror})", where=str(path), do=CHECK_FILE
            ) from None

    def _follow(self, path: Path, start: int, content: bytes, head: AuditHead | None, *, last: bool) -> bytes:
        """Go along new lines; give what at the end of the last segment is no whole line, and never was one."""
        *lines, rest = content.split(b"\n")
        self._segment, self._offset = path, start
        row: AuditRow | None = None
        for place, line in enumerate(lines):
            try:
                entry = read_line(line)
            except MessageError:
                if last and place == len(lines) - 1 and not rest and (head is None or head.number <= self._number):
                    rest = line + b"\n"
                    break
                raise self._broken(f"has a line that is not an entry, after entry {self._number}") from None
            row = entry.row
            first = self._number == 0 and row.number > 1 and place == 0 and path.stem == f"{row.number:012d}"
            if not first and (row.number != self._number + 1 or row.previous != self._link):
                raise self._broken(f"goes another way after entry {self._number}")
            self._number, self._link = row.number, row.link
            self._offset += len(line) + 1
        if row is not None:
            try:
                row.check_signature(self._identity.public)
            except MessageError:
                raise self._broken(f"has an entry {row.number} that is not signed with this key") from None
        if rest and not last:
            raise self._broken(f"has half a line after entry {self._number}, and continues after it")
        return rest

    def _check_head(self, head: AuditHead | None) -> None:
        if head is None:
            if self._number > 1:
                raise self._broken("no longer has a head next to it")
            return
        try:
            head.check(self._identity.public)
        except MessageError:
            raise self._broken("has a head that is not signed with this key") from None
        if head.number > self._number:
            left = f"ends with entry {self._number}" if self._number else "has no entry any more"
            raise self._broken(f"{left}, and there were {head.number}")
        if head.number == self._number and head.link != self._link:
            raise self._broken(f"has another entry {head.number} than when its head was signed")

    def _set_aside(self, path: Path, torn: bytes) -> None:
        aside = self.folder / f"torn-{self._number + 1:012d}"
        write_atomically(aside, torn, private=True)
        with no_room_is_said(path):
            file = os.open(path, os.O_WRONLY)
            try:
                os.ftruncate(file, self._offset)
                os.fsync(file)
            finally:
                os.close(file)

    def _append(self, what: str, facts: Mapping[str, Fact]) -> None:
        row = AuditRow.signed(self._identity, self._number + 1, body_of(self._clock(), what, facts), self._link)
        try:
            with no_room_is_said(self.folder):
                self._write(row)
        except StorageError as error:
            raise type(error)(  # a full disk stays one
                f"the audit log cannot be written ({error.what}), and what it cannot tell of does not happen",
                where=error.where,
                do="Make room: messages wait until then." if "full" in error.what else error.do,
            ) from error

    def _write(self, row: AuditRow) -> None:
        new = self._segment is None or self._offset >= self._segment_bytes
        path = self.folder / f"{row.number:012d}.jsonl" if new or self._segment is None else self._segment
        size, line = 0 if new else self._offset, line_of(row) + b"\n"
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if new else 0), 0o600)
        try:
            try:
                _write_whole(file, line)
                os.fsync(file)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file, size)
                raise
        finally:
            os.close(file)
        if new:
            flush_names(self.folder)
        self._segment, self._offset = path, size + len(line)
        self._number, self._link = row.number, row.link
        _write_head(self.folder, AuditHead.signed(self._identity, row.number, row.link))

    def _broken(self, what: str) -> StorageError:
        return StorageError(
            f"the audit log {what}: it was changed by somebody else",
            where=str(self.folder),
            do="Nothing is sent or taken in before this is cleared up. The command 'audit verify' lists every fault. "
            "Restore the folder from a copy, or move it away and keep it, as evidence; then another log begins.",
        )


def segments(folder: Path) -> list[Path]:
    """Return the files of a log in their order."""
    return sorted(folder.glob("*.jsonl"))


def no_log_yet(place: Path) -> StorageError:
    """Say that there is no log."""
    return StorageError("there is no audit log yet", where=str(place), do="It begins when the service is started.")


def lines(place: Path) -> Iterator[bytes]:
    """Return the lines of a log, of its folder or of one file, without their ends; also one that is only half there.

    Raises:
        StorageError: there is none, or it cannot be read.
    """
    paths = segments(place) if place.is_dir() else [place]
    if not paths:
        raise no_log_yet(place)
    for path in paths:
        try:
            with path.open("rb") as file:
                while line := file.readline(LARGEST_LINE + 1):  # what is longer is not an entry, in pieces either
                    yield line.removesuffix(b"\n")
        except OSError as error:
            raise StorageError(
                f"the audit log cannot be read ({error.strerror})", where=str(path), do=CHECK_FILE
            ) from None


def read_head(folder: Path) -> AuditHead | None:
    """Read the head beside a log: the later of its two slots that can be read. It is not checked here."""
    try:
        content = (folder / "head").read_bytes()
    except OSError:
        return None
    found = []
    for start in range(0, 2 * SLOT_BYTES, SLOT_BYTES):
        with suppress(StorageError, UnicodeDecodeError):
            found.append(AuditHead.parse(content[start : start + SLOT_BYTES].decode()))
    return max(found, key=lambda head: head.number, default=None)


def _write_head(folder: Path, head: AuditHead) -> None:
    path = folder / "head"
    slot = head.text().ljust(SLOT_BYTES - 1).encode() + b"\n"
    if not path.exists():  # flushed this once: a power cut must not leave a log that has begun and has no head
        write_atomically(path, slot * 2, private=True)
        return
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        # Not flushed: after a power cut the head may be behind the log, never ahead of it.
        os.pwrite(file, slot, head.number % 2 * SLOT_BYTES)
    finally:
        os.close(file)


def _write_whole(file: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]
