"""Flower's objects put together again without copying an array three times on the way.

Flower cuts a message into objects that are named by their SHA-256: a head (kind, names of the parts, length), a zero
byte, a body. An array's data are ``.npy`` bytes in chunks of 5 MiB. The form is that of ``flwr==1.42.0``;
``tests/common/test_object_trees.py`` compares with Flower's own reading. Flower itself is not imported here: who calls
gives its classes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIVIDER = b"\0"
MOST_HEAD_BYTES = 2**16  # of an .npy file of version 1
_HEADS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def inflate(name: str, contents: Mapping[str, bytes], kinds: Mapping[str, Any]) -> Any:
    """Put the object ``name`` together from the contents of all its parts; ``kinds``: Flower's classes by their names.

    As ``flwr.supercore.inflatable.inflatable_utils.inflate_object_from_contents``, but an array's data are copied
    once, into memory that may be written to (:func:`numbers`).

    Raises:
        KeyError, ValueError, TypeError: a part is missing or has another form.
    """
    made: dict[str, Any] = {}

    def make(part: str) -> Any:
        if part not in made:
            kind, children, start = _split(contents[part])
            if kind == "ArrayRecord":  # Flower's own reading would make each array again, from bytes
                made[part] = kinds[kind]()
                for label, child in json.loads(contents[part][start:]).items():
                    made[part][label] = make(child)
            elif kind == "Array":
                made[part] = _array(contents[part], contents, kinds)
            else:
                made[part] = kinds[kind].inflate(contents[part], {child: make(child) for child in children})
        return made[part]

    return make(name)


def numbers(array: Any) -> NDArray[Any]:
    """Return the numbers of one of Flower's arrays, without a copy if :func:`inflate` made it.

    Raises:
        ValueError, TypeError: its data are no ``.npy`` bytes of plain numbers.
    """
    if not isinstance(array.data, bytearray):
        own: NDArray[Any] = array.numpy()
        return own
    if array.stype != "numpy.ndarray":
        raise TypeError(f"an array arrives as {array.stype!r}")
    head = BytesIO(memoryview(array.data)[:MOST_HEAD_BYTES])
    version = np.lib.format.read_magic(head)
    if version not in _HEADS:
        raise ValueError(f"an array arrives in version {version} of the .npy form")
    shape, by_columns, dtype = _HEADS[version](head)
    count = math.prod(shape)
    if dtype.hasobject or min(shape, default=0) < 0 or head.tell() + count * dtype.itemsize != len(array.data):
        raise ValueError("an array's data are not the numbers that its head states")
    if count == 0:
        return np.empty(shape, dtype)
    return np.frombuffer(array.data, dtype, count, head.tell()).reshape(shape, order="F" if by_columns else "C")


def _array(content: bytes, contents: Mapping[str, bytes], kinds: Mapping[str, Any]) -> Any:
    _, children, start = _split(content)
    facts = json.loads(content[start:])
    chunks = []
    for place in facts["arraychunk_ids"]:
        kind, _, begin = _split(contents[children[place]])
        if kind != "ArrayChunk":
            raise ValueError(f"a part of an array is a {kind}")
        chunks.append(memoryview(contents[children[place]])[begin:])
    array = kinds["Array"](facts["dtype"], tuple(facts["shape"]), facts["stype"], b"")
    array.data = bytearray().join(chunks)
    return array


def _split(content: bytes) -> tuple[str, list[str], int]:
    """Return an object's kind, the names of its parts, and where its body begins."""
    end = content.index(DIVIDER)
    kind, children, size = content[:end].decode().split(" ")
    if int(size) != len(content) - end - 1:
        raise ValueError("an object is shorter or longer than its head states")
    return kind, children.split(",") if children else [], end + 1
