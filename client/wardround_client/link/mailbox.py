"""Messages that a crash must not lose: one file each, complete or absent, with its checksum.

A message is some bytes of our own, and then the names and the contents of Flower's objects in turn. A content's name is
its SHA-256, by which it is checked when it is read: the checksum is over all the rest, so that nothing is hashed twice.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from wardround_common.canonical import Part, cut, length, pieces, whole
from wardround_common.errors import MessageError, StorageError
from wardround_common.storage import write_atomically

log = logging.getLogger(__name__)

DIGEST_BYTES = 32
MOST_FIRST_BYTES = 4096


@dataclass(frozen=True)
class Mailbox:
    """A folder of messages, each under a name of letters and digits."""

    folder: Path
    _at_hand: dict[str, list[Part]] = field(default_factory=dict, repr=False, compare=False)
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

    def put(self, name: str, parts: list[Part]) -> None:
        """Keep a message; it is on the disk when this returns. Its contents were hashed: these are their names.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        write_atomically(self.folder / name, [_checksum(parts), *pieces(*parts)], private=True)
        self._at_hand.clear()
        self._at_hand[name] = parts

    def get(self, name: str) -> list[Part] | None:
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
            parts = cut(content)
            named = all(hashlib.sha256(each).hexdigest().encode() == of for of, each in _named(parts))
            sound = named and _checksum(parts) == digest
            if not sound and hashlib.sha256(content).digest() != digest:  # of an earlier version: over everything
                raise MessageError("the checksum is wrong")
            return list(parts)
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


def _named(parts: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and the contents of a message's objects."""
    return zip(parts[1::2], parts[2::2], strict=False)


def _checksum(parts: Sequence[Part]) -> bytes:
    """Return the SHA-256 of all parts but the contents, of which it has the lengths."""
    checksum = hashlib.sha256()
    for place, part in enumerate(parts):
        checksum.update(length(part).to_bytes(8, "big"))
        if place == 0 or place % 2:
            checksum.update(whole(part))
    return checksum.digest()


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
