"""Flower's objects taken apart and put together again without copying an array many times on the way.

Flower cuts a message into objects that are named by their SHA-256: a head (kind, names of the parts, length), a zero
byte, a body. An array's data are ``.npy`` bytes in chunks of 5 MiB. The form is that of ``flwr==1.42.0``;
``tests/common/test_object_trees.py`` compares with Flower's own reading and writing. Flower itself is not imported
here: who calls gives its classes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from wardround_common.buffers import room
from wardround_common.canonical import Content
from wardround_common.messages.link_limits import LinkLimits

DIVIDER = b"\0"
CHUNK_BYTES = 5 * 2**20
"""Of an array's data in one object, as Flower cuts them."""
MOST_HEAD_BYTES = 2**16  # of an .npy file of version 1
MOST_CHUNK_HEAD_BYTES = 64
HASHERS = 4
_HEADS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@runtime_checkable
class Stored(Protocol):
    """A content that lies on a disk, and is read from there to where it is wanted."""

    def __len__(self) -> int:
        """Say how many bytes it has."""

    def __getitem__(self, part: slice) -> bytes:
        """Read a part of it."""

    def read_into(self, place: memoryview, start: int) -> None:
        """Fill ``place`` with what begins at ``start``.

        Raises:
            ValueError: it has fewer bytes by now.
        """


def array_record(arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, Any]) -> Any:
    """Return arrays of plain numbers as Flower's record of them, with one copy of each: Flower's own way makes four."""
    record = kinds["ArrayRecord"]()
    for label, values in arrays.items():
        record[label] = kinds["Array"](str(values.dtype), tuple(values.shape), "numpy.ndarray", _npy(values))
    return record


def taken_apart(
    message: Any, kinds: Mapping[str, Any], tree: Callable[..., Any]
) -> tuple[Any, dict[str, list[Content]]]:
    """Return the tree of an object's names (Flower's class ``tree``), and the contents of all parts, by their names.

    As ``get_object_tree`` and ``get_all_nested_objects`` with ``deflate``, but each content comes in pieces, of which
    those of an array are its own memory. Parts come before what they are parts of.
    """
    name_chunks(message, kinds)
    contents: dict[str, list[Content]] = {}

    def take(name: str, part: Any) -> Any:
        children = [take(child, each) for child, each in (part.children or {}).items()]
        if name not in contents:
            contents[name] = _chunk(part.data) if isinstance(part, kinds["ArrayChunk"]) else [part.deflate()]
        return tree(object_id=name, children=children)

    return take(message.object_id, message), contents


def name_chunks(whole: Any, kinds: Mapping[str, Any]) -> None:
    """Let all arrays in a message or a record know their chunks by name, before Flower copies each to find it out."""
    if isinstance(whole, kinds["Message"]):
        whole = whole.content if whole.has_content() else {}
    for record in whole.values():
        for array in record.values() if isinstance(record, kinds["ArrayRecord"]) else ():
            if "_chunks" not in array.__dict__:
                data = memoryview(array.data)
                made = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
                names = _names([_chunk(part) for part in made])
                array.__dict__["_chunks"] = [
                    (name, kinds["ArrayChunk"](part)) for name, part in zip(names, made, strict=True)
                ]


def inflate(
    name: str, contents: Mapping[str, Content | Stored], kinds: Mapping[str, Any], most: int = LinkLimits.long_bytes
) -> Any:
    """Put the object ``name`` together from the contents of all its parts; ``kinds``: Flower's classes by their names.

    As ``flwr.supercore.inflatable.inflatable_utils.inflate_object_from_contents``, but an array's data are copied
    once, into memory that may be written to (:func:`numbers`).

    ``most``: bytes of all arrays together. An array may have a chunk many times, as one of zeros does, so that a short
    message could ask for any amount of memory.

    Raises:
        KeyError, ValueError, TypeError: a part is missing or has another form, or arrays are longer than ``most``.
    """
    made: dict[str, Any] = {}
    arrays = 0

    def make(part: str) -> Any:
        nonlocal arrays
        if part not in made:
            kind, children, start = _split(contents[part])
            if kind == "ArrayRecord":  # Flower's own reading would make each array again, from bytes
                made[part] = kinds[kind]()
                for label, child in json.loads(bytes(contents[part][start:])).items():
                    made[part][label] = make(child)
            elif kind == "Array":
                made[part] = _array(contents[part], contents, kinds, most - arrays)
                arrays += len(made[part].data)
            else:
                made[part] = kinds[kind].inflate(bytes(contents[part][:]), {child: make(child) for child in children})
        return made[part]

    return make(name)


def numbers(array: Any) -> NDArray[Any]:
    """Return the numbers of one of Flower's arrays: without a copy if :func:`inflate` made it, and else a copy.

    Raises:
        ValueError, TypeError: its data are no ``.npy`` bytes of plain numbers.
    """
    if array.stype != "numpy.ndarray":
        raise TypeError(f"an array arrives as {array.stype!r}")
    shape, by_columns, dtype, start = _read_head(bytes(array.data[: _head_bytes(array.data)]))
    count = math.prod(shape)
    if dtype.hasobject or min(shape, default=0) < 0 or start + count * dtype.itemsize != len(array.data):
        raise ValueError("an array's data are not the numbers that its head states")
    if count == 0:
        return np.empty(shape, dtype)
    found = np.frombuffer(array.data, dtype, count, start).reshape(shape, order="F" if by_columns else "C")
    return found if isinstance(array.data, memoryview) else found.copy(order="K")  # which may be written to


def _head_bytes(data: Content) -> int:
    """Return how long the head of ``.npy`` bytes says that it is, up to what is read of one."""
    wide = data[6:7] == b"\2"
    return min(MOST_HEAD_BYTES, (12 if wide else 10) + int.from_bytes(data[8 : 12 if wide else 10], "little"))


@lru_cache(maxsize=64)
def _read_head(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return what a head states, and its length: a run has few different ones, and NumPy parses each as Python."""
    head = BytesIO(content)
    version = np.lib.format.read_magic(head)
    if version not in _HEADS:
        raise ValueError(f"an array arrives in version {version} of the .npy form")
    return (*_HEADS[version](head), head.tell())


def _npy(values: NDArray[Any]) -> bytes:
    """Return what ``numpy.save`` writes of plain numbers, without growing a buffer for it."""
    by_columns = values.flags.f_contiguous and not values.flags.c_contiguous
    flat = np.ascontiguousarray(values.T if by_columns else values).reshape(-1)
    return b"".join((_written_head(values.shape, by_columns, values.dtype.str), flat.view(np.uint8).data))


@lru_cache(maxsize=64)
def _written_head(shape: tuple[int, ...], by_columns: bool, kind: str) -> bytes:
    head = BytesIO()
    facts = {"shape": shape, "fortran_order": by_columns, "descr": kind}
    np.lib.format.write_array_header_1_0(head, facts)
    return head.getvalue()


def _chunk(data: memoryview) -> list[Content]:
    return [b"ArrayChunk  %d" % len(data) + DIVIDER, data]


def _names(contents: list[list[Content]]) -> list[str]:
    """Return the names of contents; of large ones several are hashed at a time, since hashing lets other threads go."""
    if len(contents) < 2:
        return [_name(content) for content in contents]
    with ThreadPoolExecutor(min(HASHERS, len(contents))) as pool:
        return list(pool.map(_name, contents))


def _name(content: list[Content]) -> str:
    found = hashlib.sha256()
    for piece in content:
        found.update(piece)
    return found.hexdigest()


def _array(
    content: Content | Stored, contents: Mapping[str, Content | Stored], kinds: Mapping[str, Any], most: int
) -> Any:
    _, children, start = _split(content)
    facts = json.loads(bytes(content[start:]))
    chunks: list[tuple[Content | Stored, int, int]] = []
    for place in facts["arraychunk_ids"]:
        kind, _, begin = _split(contents[children[place]])
        if kind != "ArrayChunk":
            raise ValueError(f"a part of an array is a {kind}")
        chunk = contents[children[place]]
        chunks.append((chunk, begin, len(chunk) - begin))
    size = sum(length for _, _, length in chunks)
    if size > most:
        raise ValueError("the arrays of a message are longer than a message may be")
    array = kinds["Array"](facts["dtype"], tuple(facts["shape"]), facts["stype"], b"")
    array.data = room(size)
    place = 0
    for chunk, begin, length in chunks:
        into = array.data[place : place + length]
        if isinstance(chunk, Stored):
            chunk.read_into(into, begin)
        else:
            into[:] = memoryview(chunk)[begin:]
        place += length
    return array


def _split(content: Content | Stored) -> tuple[str, list[str], int]:
    """Return an object's kind, the names of its parts, and where its body begins."""
    head = bytes(content[:MOST_CHUNK_HEAD_BYTES])
    if DIVIDER not in head:  # it has parts
        head = bytes(content[:])
    end = head.index(DIVIDER)
    kind, children, size = head[:end].decode().split(" ")
    if int(size) != len(content) - end - 1:
        raise ValueError("an object is shorter or longer than its head states")
    return kind, children.split(",") if children else [], end + 1
