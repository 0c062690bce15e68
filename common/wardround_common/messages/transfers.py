"""How parts of messages travel: many small ones in one body, a large one without a copy.

Flower's Fleet interface moves one object a request, and most of a message's objects have a few hundred bytes. Here the
bodies of ``push-object`` and ``pull-object`` have Flower's request first, without a name or content in it, and then
what it is about, joined as in :mod:`wardround_common.canonical`:

=========== ====================================== =====================================
path        request                                answer
=========== ====================================== =====================================
push-object ``PushObjectRequest``, name, content,  ``PushObjectResponse``
            name, content, …
pull-object ``PullObjectRequest``, name, name, …   the contents of the first names, at
                                                   least one; what is left is asked again
=========== ====================================== =====================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wardround_common.buffers import room
from wardround_common.canonical import Content, Part, length, pieces, views
from wardround_common.errors import MessageError
from wardround_common.messages.link_limits import LinkLimits

PORTION_BYTES = 2**18
"""Of what is received or sent at a time: it stays in the processor's cache, and is not asked of the system anew."""
GROUP_BYTES = 2**20
"""Of contents in one body, from which on no more are added: so a chunk of an array (5 MiB) is the last in its body."""
LENGTH_BYTES = 8  # before each part of a body
_NAME_BYTES = 64 + 2 * LENGTH_BYTES
_HEAD_BYTES = 1024


def groups(contents: Mapping[str, Part], most_bytes: int) -> list[list[str]]:
    """Say which contents go into one body together: small ones with each other, and with at most one large one.

    ``most_bytes``: of one body; a content that does not fit by itself is refused at the other end.
    """
    made: list[list[str]] = []
    size, left = GROUP_BYTES, 0
    for name, content in contents.items():
        bytes_ = length(content)
        if size >= GROUP_BYTES or bytes_ + _NAME_BYTES > left:
            made.append([])
            size, left = 0, most_bytes - _HEAD_BYTES
        made[-1].append(name)
        size += bytes_
        left -= bytes_ + _NAME_BYTES
    return made


def write_push(request: bytes, contents: Mapping[str, Part]) -> list[Content]:
    """Return the body that brings some contents, piece by piece."""
    return pieces(request, *(part for name, content in contents.items() for part in (name.encode(), content)))


def read_push(body: Content, most: int = LinkLimits.parts) -> tuple[bytes, dict[str, memoryview]]:
    """Return the request and the contents that a body brings, by their names; ``most`` of them.

    Raises:
        MessageError: it has another form, more contents, or a name twice.
    """
    head, *parts = views(body, 1 + 2 * most) or [memoryview(b"")]
    names, contents = [_name(part) for part in parts[::2]], parts[1::2]
    if len(names) != len(contents) or len(set(names)) != len(names):
        raise MessageError("a body of objects has another form than names and contents in turn")
    return bytes(head), dict(zip(names, contents, strict=True))


def write_pull(request: bytes, names: list[str]) -> list[Content]:
    """Return the body that asks for some contents."""
    return pieces(request, *(name.encode() for name in names))


def read_pull(body: Content, most: int = LinkLimits.parts) -> tuple[bytes, list[str]]:
    """Return the request and the names of what a body asks for; ``most`` of them.

    Raises:
        MessageError: it has another form, more names, or one twice.
    """
    head, *parts = views(body, 1 + most) or [memoryview(b"")]
    names = [_name(part) for part in parts]
    if len(set(names)) != len(names):
        raise MessageError("a body asks for an object twice")
    return bytes(head), names


def together(parts: list[bytes]) -> Content:
    """Join what came of a body, and forget it: a small one is bytes."""
    size, place = sum(map(len, parts)), 0
    if size < GROUP_BYTES:
        return b"".join(parts)
    body = room(size)
    for part in parts:
        body[place : place + len(part)] = part
        place += len(part)
    parts.clear()
    return body


def portions(body: list[Content], size: int = PORTION_BYTES) -> Iterator[bytes]:
    """Yield a body in portions of ``size`` bytes, the last one smaller."""
    held: list[Content] = []
    left = size
    for piece in body:
        place = 0
        while place < len(piece):
            held.append(memoryview(piece)[place : place + left])
            place += len(held[-1])
            left -= len(held[-1])
            if left == 0:
                yield b"".join(held)
                held, left = [], size
    if held:
        yield b"".join(held)


def _name(part: memoryview) -> str:
    try:
        return bytes(part).decode("ascii")
    except UnicodeDecodeError:
        raise MessageError("an object has an impossible name") from None
