"""Messages that a crash must not lose: one file each, complete or absent, with its checksum."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from wardround_common.canonical import cut, pieces
from wardround_common.errors import MessageError, StorageError
from wardround_common.storage import write_atomically

log = logging.getLogger(__name__)

DIGEST_BYTES = 32
MOST_FIRST_BYTES = 4096


@dataclass(frozen=True)
class Mailbox:
    """A folder of messages, each under a name of letters and digits."""

    folder: Path
    _at_hand: dict[str, list[bytes]] = field(default_factory=dict, repr=False, compare=False)
    """The last message that was put, until it is read: a large one is not read again from the disk a moment later."""

    def names(self) -> list[str]:
        """Name the messages that are here, the oldest first.

        Raises:
            StorageError: the disk does not let it be read; so do all that follow.
        """
        times = {}
        with _trouble_is_said(self.folder):
            for path in self.folder.glob("*"):
                if path.name.isalnum():
                    with suppress(FileNotFoundError):  # removed in this moment
                        times[path.name] = path.stat().st_mtime_ns
        return sorted(times, key=lambda name: (times[name], name))

    def put(self, name: str, parts: list[bytes]) -> None:
        """Keep a message; it is on the disk when this returns.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        content = pieces(*parts)
        checksum = hashlib.sha256()
        for piece in content:
            checksum.update(piece)
        write_atomically(self.folder / name, [checksum.digest(), *content], private=True)
        self._at_hand.clear()
        self._at_hand[name] = parts

    def get(self, name: str) -> list[bytes] | None:
        """Return a message, if it is here; one that is damaged is set aside, as NAME.damaged, and not given."""
        at_hand = self._at_hand.pop(name, None)
        if at_hand is not None:
            return at_hand
        try:
            with _trouble_is_said(self.folder / name):
                content = (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        digest, content = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        try:
            if hashlib.sha256(content).digest() != digest:
                raise MessageError("the checksum is wrong")
            return cut(content)
        except MessageError:
            log.error("the message %s was damaged on disk; it is set aside", self.folder / name)
            with _trouble_is_said(self.folder / name):
                (self.folder / name).replace(self.folder / f"{name}.damaged")
            return None

    def first(self, name: str) -> bytes | None:
        """Return the first part of a message, if it is here, unchecked and without reading the others."""
        try:
            with _trouble_is_said(self.folder / name), (self.folder / name).open("rb") as file:
                file.seek(DIGEST_BYTES)
                return file.read(min(int.from_bytes(file.read(8), "big"), MOST_FIRST_BYTES))
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Forget a message; one that is not here is no error."""
        self._at_hand.pop(name, None)
        with _trouble_is_said(self.folder / name):
            (self.folder / name).unlink(missing_ok=True)


@contextmanager
def _trouble_is_said(path: Path) -> Iterator[None]:
    """Turn what the operating system says of a file that is there into a :class:`StorageError`: it may pass."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(
            f"a message on disk cannot be used ({error.strerror or type(error).__name__})",
            where=str(path),
            do="Check that the disk is there and writable; this then continues by itself.",
        ) from error
