"""Bytes that can be read in one way only: what is signed, hashed and decoded (docs/secagg.md, section 8)."""

from __future__ import annotations

from wardround_common.errors import MessageError

Content = bytes | memoryview  # of single bytes: ``memoryview(array).cast("B")``
Part = Content | list[Content]
"""One part, whole or in pieces that are written one after the other."""


def pieces(*parts: Part) -> list[Content]:
    """Return what :func:`joined` joins, one after the other: large parts can be written without a copy of them."""
    return [piece for part in parts for piece in (length(part).to_bytes(8, "big"), *_within(part))]


def length(part: Part) -> int:
    """Return how many bytes a part has."""
    return sum(map(len, _within(part)))


def whole(part: Part) -> bytes:
    """Return the bytes of a part: a copy, unless they are bytes already."""
    return b"".join(_within(part))


def joined(*parts: Content) -> bytes:
    """Join parts so that no other parts give the same bytes: each is preceded by its length in eight bytes."""
    # Not by ``pieces``, which takes three times as long: a secure sum joins short parts for each pair of hospitals.
    return b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "big"), part)])


def cut(content: bytes) -> list[bytes]:
    """Take joined parts asunder.

    Raises:
        MessageError: they were not joined by :func:`joined`.
    """
    return [bytes(part) for part in views(content)]


def views(content: Content, most: int | None = None) -> list[memoryview]:
    """Take joined parts asunder without a copy of them.

    ``most``: parts that there may be, from somebody who is not trusted: an empty one has eight bytes there, and takes
    two hundred here.

    Raises:
        MessageError: they were not joined by :func:`joined`, or are more.
    """
    parts: list[memoryview] = []
    whole, place = memoryview(content), 0
    while place < len(whole):
        if most is not None and len(parts) == most:
            raise MessageError(f"there are more than {most:,} joined parts")
        size = int.from_bytes(whole[place : place + 8], "big")
        place += 8 + size
        if place > len(whole):
            raise MessageError("joined parts are truncated")
        parts.append(whole[place - size : place])
    return parts


def _within(part: Part) -> list[Content]:
    return part if isinstance(part, list) else [part]


class Reader:
    """Reads a message from its first byte to its last; nothing is allocated by a length that the message claims."""

    def __init__(self, content: bytes, what: str) -> None:
        self._content = content
        self._what = what
        self._place = 0

    def take(self, size: int) -> bytes:
        """Take a number of bytes.

        Raises:
            MessageError: there are fewer.
        """
        taken = self._content[self._place : self._place + size]
        if len(taken) != size:
            raise MessageError(f"{self._what} is truncated")
        self._place += size
        return taken

    def number(self, largest: int) -> int:
        """Take a number of two bytes, at most ``largest``.

        Raises:
            MessageError: it is larger, or cut short.
        """
        number = int.from_bytes(self.take(2), "big")
        if number > largest:
            raise MessageError(f"{self._what} states {number} of what it may have {largest} of")
        return number

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            MessageError: something is.
        """
        if self._place != len(self._content):
            raise MessageError(f"{self._what} has bytes after its end")
