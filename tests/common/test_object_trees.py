"""Flower's objects are read and written as Flower does it, and what is none is refused."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, Metadata, RecordDict
from flwr.app.message import make_message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry, inflate_object_from_contents
from numpy.typing import NDArray

from wardround_common.messages.object_trees import array_record, inflate, numbers, taken_apart

VECTORS = {
    "long": np.arange(3_000_000, dtype=np.float32),  # three chunks
    "zeros": np.zeros(4_000_000, np.float32),  # four, of which two are one object
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "empty": np.empty((0, 3), np.float64),
    "one": np.array(7, "<u8"),
}


def contents_of(record: RecordDict | Message) -> dict[str, bytes]:
    return {name: part.deflate() for name, part in get_all_nested_objects(record).items()}


def message_of(content: RecordDict) -> Message:
    return make_message(Metadata(1, "", 2, 3, "", "", 0.0, 60.0, "query"), content)


@pytest.fixture(scope="module")
def record() -> RecordDict:
    arrays = ArrayRecord({name: Array(vector) for name, vector in VECTORS.items()})
    return RecordDict({"fields": ConfigRecord({"round": 3}), "arrays": arrays})


def test_an_object_is_read_as_flower_reads_it(record: RecordDict) -> None:
    contents = contents_of(record)
    ours = inflate(record.object_id, contents, inflatable_class_registry)
    theirs = inflate_object_from_contents(record.object_id, contents, keep_object_contents=True)
    assert dict(ours["fields"]) == dict(theirs["fields"])
    for name, vector in VECTORS.items():
        read = numbers(ours["arrays"][name])
        assert (read.dtype, read.shape) == (vector.dtype, vector.shape)
        np.testing.assert_array_equal(read, theirs["arrays"][name].numpy())
        assert read.flags.writeable
    assert ours.object_id == record.object_id


def test_an_array_that_flower_made_is_read_too() -> None:
    np.testing.assert_array_equal(numbers(Array(VECTORS["columns"])), VECTORS["columns"])


@pytest.mark.parametrize(
    "data",
    [
        b"no array",
        Array(np.arange(3.0)).data[:-1],
        Array(np.arange(3.0)).data + b"\0",
        Array(np.arange(3.0)).data.replace(b"(3,)", b"(-3)"),
        Array(np.arange(3.0)).data.replace(b"'<f8'", b"'|O8'"),
        Array(np.arange(3.0)).data.replace(b"NUMPY\x01", b"NUMPY\x09"),
    ],
)
def test_data_that_are_no_plain_numbers_are_refused(data: bytes) -> None:
    array = Array("float64", (3,), "numpy.ndarray", b"")
    array.data = memoryview(data)  # type: ignore[assignment]
    with pytest.raises((ValueError, TypeError)):
        numbers(array)


def test_a_tree_with_a_part_that_is_missing_cut_short_or_of_another_kind_is_refused(record: RecordDict) -> None:
    contents = contents_of(record)
    chunk = next(name for name, content in contents.items() if content.startswith(b"ArrayChunk"))
    other = next(content for content in contents.values() if content.startswith(b"ConfigRecord"))
    for changed in (
        {name: content for name, content in contents.items() if name != chunk},
        contents | {chunk: contents[chunk][:-1]},
        contents | {chunk: other},
    ):
        with pytest.raises((KeyError, ValueError)):
            inflate(record.object_id, changed, inflatable_class_registry)


def test_a_chunk_that_is_named_often_takes_no_more_memory_than_a_message_may() -> None:
    zeros = Array(np.zeros(4_000_000, np.float32))
    parts = contents_of(RecordDict({"arrays": ArrayRecord(dict.fromkeys("ab", zeros))}))
    (name,) = (name for name, content in parts.items() if content.startswith(b"RecordDict"))
    size = len(zeros.data)
    assert sum(map(len, parts.values())) < size  # two of four chunks are one object, and so are both arrays
    assert len(inflate(name, parts, inflatable_class_registry, size)["arrays"]["b"].data) == size
    with pytest.raises(ValueError, match="longer than a message may be"):
        inflate(name, parts, inflatable_class_registry, size - 1)


def test_arrays_are_written_and_taken_apart_as_flower_does_it() -> None:
    kinds = inflatable_class_registry
    vectors = VECTORS | {
        "every other": np.arange(10, dtype="<i8")[::2],
        "a page": np.arange(24, dtype="<f4").reshape(2, 3, 4)[:, 1],
    }
    fields = ConfigRecord({"round": 3})
    arrays = ArrayRecord({name: Array(vector) for name, vector in vectors.items()})
    theirs = message_of(RecordDict({"fields": fields, "arrays": arrays}))
    ours = message_of(RecordDict({"fields": fields, "arrays": array_record(vectors, kinds)}))
    with no_object_id_recompute():
        tree, pieces = taken_apart(ours, kinds, ObjectTree)
        assert tree == get_object_tree(theirs)
        contents = contents_of(theirs)
    assert {name: b"".join(content) for name, content in pieces.items()} == contents
    assert list(pieces) == list(contents)


def test_no_array_is_copied_when_a_message_is_taken_apart() -> None:
    message = message_of(RecordDict({"arrays": array_record({"long": VECTORS["long"]}, inflatable_class_registry)}))
    data = np.frombuffer(message.content["arrays"]["long"].data, np.uint8)
    _, pieces = taken_apart(message, inflatable_class_registry, ObjectTree)
    large = [piece for content in pieces.values() for piece in content if len(piece) > 2**16]
    assert sum(map(len, large)) == len(data)
    assert all(np.shares_memory(np.frombuffer(piece, np.uint8), data) for piece in large)


@pytest.mark.parametrize(
    "values", [np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.empty((0, 3), "<u4")]
)
def test_numbers_that_never_left_the_process_are_a_copy_that_may_be_written_to(values: NDArray[np.generic]) -> None:
    for _ in range(2):  # heads are read, and written, once
        record = array_record({"x": values}, inflatable_class_registry)
        assert record["x"].data == Array(values).data  # as Flower writes it
        found = numbers(record["x"])
        assert found.dtype == values.dtype
        assert np.array_equal(found, values)
        assert found.flags.writeable
        assert found.flags.f_contiguous == values.flags.f_contiguous
        found[...] = 1
        assert np.array_equal(numbers(record["x"]), values)
