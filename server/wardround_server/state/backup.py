"""A copy of a coordinator's folder, even while it serves: databases by SQLite's backup, every other file whole.

Runs are copied before the database of questions and answers: one that is ahead of it would name what the database does
not know. The audit log's head is copied before its lines: lines beyond a head are what a crash leaves, a head beyond
the lines is a log that was cut off. Which questions were out is left out: they were answered to the coordinator that
went on, and hospitals do not send an answer twice unless they are asked again.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from wardround_common.errors import FullDiskError, StorageError
from wardround_common.keys.key_files import private_folder
from wardround_common.storage import flush_names, is_out_of_room, no_room_is_said

DATABASE = b"SQLite format 3\x00"
BESIDE_A_DATABASE = ("-wal", "-shm", "-journal")
OF_THE_PROCESS = ("lock",)  # its socket is no file
FIRST = Path("audit", "head")
LAST = "link"
OUT = "run-[0-9]*.json"  # which questions are out


def back_up(folder: Path, target: Path) -> int:
    """Copy a coordinator's folder to ``target``, which is made; give the number of files.

    What is copied is as secret as the folder: it has the private keys. It has its name when it is whole: nobody shall
    take half a copy, which a full disk, a kill or a power cut left, for a backup.

    Raises:
        StorageError: ``target`` is there already or lies in the folder, or something cannot be read or written.
    """
    if target.exists():
        raise StorageError("this name is already taken", where=str(target), do="Name a new folder.")
    if target.resolve().is_relative_to(folder.resolve()):
        raise StorageError("the copy would lie inside the folder being copied", where=str(target), do="Name another.")
    begun = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(begun, ignore_errors=True)
    try:
        private_folder(begun)
        copied = 0
        for path in sorted(_files(folder), key=lambda path: _turn(path.relative_to(folder))):
            copy = begun / path.relative_to(folder)
            with no_room_is_said(target), _sqlite_is_said(target):
                copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                copied += _copy(path, copy)
        with no_room_is_said(target):
            _flush(begun)
            begun.rename(target)
            flush_names(target.parent)
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    return copied


def _flush(folder: Path) -> None:
    """Wait until a folder is on the disk with all that is in it."""
    for path in (folder, *folder.rglob("*")):
        flush_names(path)  # or a file's content


@contextmanager
def _sqlite_is_said(target: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if is_out_of_room(error, target.parent):
            raise FullDiskError("the disk is full", where=str(target), do="Make room and run it again.") from error
        raise StorageError(
            f"a database cannot be copied ({error})", where=str(target), do="Nothing was copied; run it again."
        ) from error


def _turn(path: Path) -> tuple[bool, bool, Path]:
    return path.parts[0] == LAST, path != FIRST, path


def _files(folder: Path) -> Iterator[Path]:
    """Return what is to be copied: neither the marks of a process, nor what is just being written."""
    for path in folder.rglob("*"):
        name = path.name
        if name in OF_THE_PROCESS or name.startswith(".") or name.endswith(BESIDE_A_DATABASE):
            continue
        if path.is_file() and not path.match(OUT):
            yield path


def _copy(path: Path, copy: Path) -> bool:
    """Copy a file as it is now; one that was removed meanwhile is skipped."""
    try:
        with path.open("rb") as file:
            is_database = file.read(len(DATABASE)) == DATABASE
        if is_database:
            copy.touch(mode=0o600)
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as into:
                source.backup(into)
        else:
            shutil.copy2(path, copy)
    except FileNotFoundError:
        if path.exists():
            raise
        return False
    return True
