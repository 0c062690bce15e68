"""Objects in files are kept, shared and removed as Flower's own store does it with objects in its database."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.object_store import NoObjectInStoreError
from flwr.supercore.object_store.sql_object_store import SqlObjectStore

from link import _empty_database
from wardround_common.canonical import whole
from wardround_common.errors import MessageError
from wardround_server.link.at_hand import AtHand
from wardround_server.link.object_files import ObjectFiles, StoredContent


@pytest.fixture
def files(tmp_path: Path) -> ObjectFiles:
    shutil.copy(_empty_database(), tmp_path / "objects.db")
    store = ObjectFiles(str(tmp_path / "objects.db"), tmp_path / "objects")
    store.initialize()
    return store


def made(number: int, *children: ObjectTree) -> tuple[ObjectTree, bytes]:
    """Make an object of these parts, in Flower's form."""
    names = ",".join(child.object_id for child in children)
    content = f"ConfigRecord {names} 4".encode() + b"\0" + number.to_bytes(4, "big")
    return ObjectTree(object_id=hashlib.sha256(content).hexdigest(), children=children), content


def test_trees_that_share_parts_come_and_go_as_in_flowers_own_store(files: ObjectFiles, tmp_path: Path) -> None:
    theirs = SqlObjectStore(":memory:")
    theirs.initialize()
    draw = random.Random(0)
    contents: dict[str, bytes] = {}
    leaves = []
    for number in range(6):
        leaf, content = made(number)
        contents[leaf.object_id] = content
        leaves.append(leaf)
    roots = []
    for step in range(20):
        if draw.random() < 0.6 or not roots:
            middle, content = made(100 + step, *draw.sample(leaves, 2))
            contents[middle.object_id] = content
            root, content = made(200 + step, middle, draw.choice(leaves))
            contents[root.object_id] = content
            roots.append(root)
            missing = files.preregister(7, root)
            assert set(missing) == set(theirs.preregister(7, root))
            for name in missing[: draw.randrange(len(missing) + 1)]:
                for store in (files, theirs):
                    store.put(name, contents[name])
        else:
            gone = roots.pop(draw.randrange(len(roots)))
            for store in (files, theirs):
                store.delete(gone.object_id)
        files.sweep()
        assert len(files) == len(theirs)
        assert all(files.get(name) == theirs.get(name) for name in contents)
        for root in roots:
            ours, other = (
                sorted(part.object_id for part in iterate_object_tree(store.get_object_tree(root.object_id)))
                for store in (files, theirs)
            )
            assert ours == other
    for store in (files, theirs):
        store.delete_objects_in_run(7)
    files.sweep()
    assert len(files) == len(theirs) == 0
    assert list((tmp_path / "objects").iterdir()) == []


def test_an_object_that_is_known_with_other_parts_or_has_an_impossible_name_is_refused(files: ObjectFiles) -> None:
    leaf, other = made(1)[0], made(2)[0]
    root, _ = made(3, leaf)
    files.preregister(1, root)
    for tree in (
        ObjectTree(object_id=root.object_id, children=[other]),
        ObjectTree(object_id=root.object_id),
        ObjectTree(object_id="../../etc/passwd"),
        ObjectTree(object_id="0" * 64, children=[leaf, leaf]),
    ):
        with pytest.raises(ValueError, match=r"other parts|impossible"):
            files.preregister(2, tree)
    assert len(files) == 2


def test_a_content_that_nobody_announced_or_that_is_another_one_leaves_no_file(
    files: ObjectFiles, tmp_path: Path
) -> None:
    leaf, content = made(1)
    with pytest.raises(NoObjectInStoreError):
        files.put(leaf.object_id, content)
    with pytest.raises(NoObjectInStoreError):
        files.get_object_tree(leaf.object_id)
    files.preregister(1, leaf)
    with pytest.raises(MessageError, match="not the one"):
        files.put(leaf.object_id, made(2)[1])
    with pytest.raises(MessageError, match="form"):
        files.put(leaf.object_id, b"no object")
    assert list((tmp_path / "objects").iterdir()) == []
    assert files.get(leaf.object_id) == b""


def test_small_contents_are_in_the_database_and_no_copy_has_them_once_they_are_deleted(
    files: ObjectFiles, tmp_path: Path
) -> None:
    body = b"an update of one hospital" * 100
    content = f"ConfigRecord  {len(body)}".encode() + b"\0" + body
    root = ObjectTree(object_id=hashlib.sha256(content).hexdigest())

    def copied() -> bytes:
        with closing(sqlite3.connect(tmp_path / "objects.db")) as source, closing(sqlite3.connect(":memory:")) as copy:
            source.backup(copy)
            return bytes(copy.serialize())

    files.preregister(1, root)
    files.put(root.object_id, content)
    assert files.sizes([root.object_id, "0" * 64]) == {root.object_id: len(content), "0" * 64: 0}
    assert list((tmp_path / "objects").iterdir()) == []
    assert body in copied()
    files.delete(root.object_id)
    assert body[:50] not in copied()


def test_a_large_content_is_read_to_where_it_is_wanted_and_one_that_became_shorter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(bytes(range(256)) * 100)
    content = StoredContent(path, 25_600)
    assert content[:3] == b"\0\1\2"
    assert content[25_590:] == bytes(range(246, 256))
    place = memoryview(bytearray(25_000))
    content.read_into(place, 600)
    assert place == path.read_bytes()[600:]
    path.write_bytes(bytes(25_599))
    with pytest.raises(ValueError, match="shorter"):
        content.read_into(place, 600)


def test_what_came_is_at_hand_once_and_then_on_the_disk(files: ObjectFiles) -> None:
    body = memoryview(bytes(range(256)) * 100)
    content = [b"ArrayChunk  %d\0" % len(body), body]
    name = hashlib.sha256(b"".join(content)).hexdigest()
    files.preregister(1, ObjectTree(object_id=name))
    with files.written(name, memoryview(b"".join(content))) as written:
        files.put(name, written)
    first = files.contents([name])[name]
    assert isinstance(first, memoryview)
    assert isinstance(second := files.contents([name])[name], StoredContent)
    assert bytes(first) == second[:] == whole(files.read(name) or b"") == b"".join(content)
    with files.written(name, content, named=True) as written:
        files.put(name, written)
    assert files.read(name) is written.pieces
    files.delete(name)
    files.sweep()
    assert files.read(name) is None


def test_what_is_at_hand_counts_all_the_memory_that_it_holds_and_the_oldest_goes_first() -> None:
    held = AtHand(most_bytes=1000)
    body = memoryview(bytearray(600))  # as a hospital may send: a short content in a long body
    held.keep("a", [b"head", body[:10]])
    held.keep("b", [body[590:]])
    assert held.held_bytes == 604
    held.keep("c", [bytes(300)])
    assert [name for name in "abc" if held.get(name)] == ["a", "b", "c"]
    held.keep("d", [bytes(200)])
    assert [name for name in "abcd" if held.get(name)] == ["c", "d"]
    held.keep("e", [memoryview(bytearray(1001))[:1]])
    assert [name for name in "abcde" if held.get(name)] == ["c", "d"]
    held.drop("d")
    held.keep("c", [bytes(20), bytes(30)])
    held.keep("c", [bytes(40)])
    assert held.held_bytes == 40
    held.drop("c")
    assert (held.held_bytes, held.drop("c")) == (0, None)
