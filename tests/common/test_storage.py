"""A file is what was written, whichever way its bytes take to the disk; large ones are not kept by the system."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from wardround_common import storage
from wardround_common.errors import FullDiskError, StorageError
from wardround_common.storage import BLOCK_BYTES, write_atomically

SIZES = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES, 3 * BLOCK_BYTES + 4097]
DIRECT = getattr(os, "O_DIRECT", 0)


def content_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def goes_past_the_cache(folder: Path) -> bool:
    try:
        os.close(os.open(folder / "tried", os.O_WRONLY | os.O_CREAT | DIRECT))
    except OSError:
        return False
    return DIRECT != 0


@pytest.mark.parametrize("size", SIZES)
def test_pieces_of_any_length_are_written_one_after_the_other(tmp_path: Path, size: int) -> None:
    content = content_of(size)
    for first in (0, 1, size // 3):
        pieces = [content[:first], memoryview(content)[first:]]
        write_atomically(tmp_path / "file", pieces, private=True)
        assert (tmp_path / "file").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="the system does not say what it keeps")
def test_a_large_file_is_not_kept_by_the_system_and_a_small_one_is(tmp_path: Path) -> None:

    def kept(path: Path) -> bool:
        with path.open("rb", buffering=0) as file:
            try:
                return os.preadv(file.fileno(), [bytearray(4096)], 0, os.RWF_NOWAIT) > 0
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                pytest.skip("this file system does not say what it keeps, as tmpfs")

    if not goes_past_the_cache(tmp_path):
        pytest.skip("this file system keeps everything")
    for name, size, expected in (("small", BLOCK_BYTES - 1, True), ("large", 8 * BLOCK_BYTES, False)):
        write_atomically(tmp_path / name, content_of(size))
        assert kept(tmp_path / name) == expected
    write_atomically(tmp_path / "simulated", content_of(8 * BLOCK_BYTES), durable=False)
    assert kept(tmp_path / "simulated")


@pytest.mark.parametrize("where", ["flag", "first", "middle"])
def test_a_file_system_that_cannot_do_it_gets_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    flags, write, refused = fcntl.fcntl, os.write, []

    def flag(file: int, what: int, value: int = 0) -> int:
        if where == "flag" and what == fcntl.F_SETFL and value & DIRECT:
            refused.append(what)
            raise OSError(errno.EINVAL, "no")
        return flags(file, what, value)

    def out(file: int, content: memoryview) -> int:
        place = os.lseek(file, 0, os.SEEK_CUR)
        if flags(file, fcntl.F_GETFL) & DIRECT and place >= {"first": 0, "middle": BLOCK_BYTES}.get(where, 1 << 60):
            refused.append(place)
            raise OSError(errno.EINVAL, "no")
        return write(file, content[: BLOCK_BYTES // 2])  # and it writes less than it was given

    if not goes_past_the_cache(tmp_path):
        pytest.skip("this file system is such a one")
    monkeypatch.setattr(storage.fcntl, "fcntl", flag)
    monkeypatch.setattr(storage.os, "write", out)
    content = content_of(3 * BLOCK_BYTES + 4097)
    write_atomically(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content
    assert len(refused) == 1


def test_a_disk_that_fills_up_on_the_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "file", b"old")
    write = os.write

    def out(file: int, content: memoryview) -> int:
        if os.lseek(file, 0, os.SEEK_CUR) >= 2 * BLOCK_BYTES:
            raise OSError(errno.ENOSPC, "full")
        return write(file, content)

    if not goes_past_the_cache(tmp_path):
        pytest.skip("this file system writes otherwise")
    (tmp_path / "tried").unlink()
    monkeypatch.setattr(storage.os, "write", out)
    with pytest.raises(FullDiskError):
        write_atomically(tmp_path / "file", content_of(4 * BLOCK_BYTES))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}


def test_a_file_in_the_place_of_a_folder_is_named_and_no_other_file_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for path in (tmp_path / "notes" / "out", tmp_path / "notes" / "deeper" / "out"):
        with pytest.raises(StorageError, match="this is a file, and a folder is to be there") as raised:
            write_atomically(path, b"")
        assert raised.value.where == str(tmp_path / "notes")
    with (
        pytest.raises(StorageError, match=r"cannot be written \(File exists\)"),
        storage.no_room_is_said(tmp_path / "notes"),
    ):
        os.open(tmp_path / "notes", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert (tmp_path / "notes").read_text() == "mine"
