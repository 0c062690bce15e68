"""Files that are complete or absent: a crash leaves the old one, a full disk is reported."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from wardround_common.buffers import room
from wardround_common.errors import FullDiskError, StorageError

LOCK = "lock"
"""The file by which :func:`alone_in` keeps others out of a folder."""
ROOM_BYTES = 65_536
"""With less than this the disk is full: the index of a database's write-ahead log alone takes 32 KiB."""
LOOKERS = 5  # attempts to take a lock
BLOCK_BYTES = 2**20
"""Of what is written past the system's cache at a time; what is smaller than one is written as usual."""


@contextmanager
def no_room_is_said(where: Path) -> Iterator[None]:
    """Turn what the operating system says of a file into a :class:`StorageError` for a person."""
    try:
        yield
    except BrokenPipeError:  # of whoever reads what a command prints, such as head: no file is at fault
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FullDiskError(
                "the disk is full", where=str(where), do="Make room and run it again; completed work is kept."
            ) from error
        if file := _in_the_way(where, error):
            raise StorageError(
                "this is a file, and a folder is to be there",
                where=str(file),
                do="Name another folder, or move it away.",
            ) from error
        raise StorageError(
            f"the file cannot be written ({error.strerror or type(error).__name__})",
            where=str(where),
            do="Check that the folder exists, and that this user may write there.",
        ) from error


def _in_the_way(path: Path, error: OSError) -> Path | None:
    """Return the file that lies where a folder would have to be, for this path or one below it to be written."""
    match error:
        case NotADirectoryError():
            places: Sequence[Path] = (path, *path.parents)
        case FileExistsError():  # of a folder that is made; a file that may not be replaced is no folder's place
            places = path.parents
        case _:
            return None
    return next((each for each in places if each.is_file()), None)


def is_out_of_room(error: BaseException | None, folder: Path) -> bool:
    """Tell whether SQLite failed because the disk of a folder is full.

    Where there is no room for the memory that it shares beside a database, it says only that input or output failed.
    """
    import shutil  # here: a health check imports this module, and needs neither
    import sqlite3

    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code != sqlite3.SQLITE_IOERR:
        return bool(code == sqlite3.SQLITE_FULL)
    with suppress(OSError):
        return shutil.disk_usage(folder).free < ROOM_BYTES
    return False


def cannot_be_written(error: BaseException | None) -> bool:
    """Tell whether an error says that a folder is read only, such as a mounted copy; a full disk is not."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return True
        error = error.__cause__
    return False


def write_atomically(
    path: Path, content: bytes | Sequence[bytes | memoryview], *, private: bool = False, durable: bool = True
) -> None:
    """Write a file so that at any moment it is the old one or the new one, on the disk before this returns.

    Without ``durable`` a process that is killed loses nothing, and a power cut may: for what a simulation keeps.

    ``content`` may come in pieces, which are written one after the other. A private file, and a folder that is made for
    it, may be read by their owner only.

    Raises:
        StorageError: the disk is full or the folder may not be written; the old file is untouched.
    """
    making = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with no_room_is_said(path):
        _make_folder(path.parent, 0o700 if private else 0o777)
        try:
            mode = 0o600 if private else 0o666  # the umask takes from the latter what others may not do
            with new_file(making, mode) as file:
                write_pieces(file, [content] if isinstance(content, bytes) else content, durable=durable)
            making.replace(path)
        except BaseException:
            making.unlink(missing_ok=True)
            raise
        if durable:
            flush_names(path.parent)


def half_written(folder: Path, name: str = "*") -> list[Path]:
    """List what :func:`write_atomically` left of files of that name in a folder when its process was killed."""
    return sorted(folder.glob(f".{name}.{'[0-9a-f]' * 8}"))


def sweep(folder: Path, name: str = "*") -> None:
    """Remove all that :func:`half_written` lists in a folder; nobody else may be writing there.

    What cannot be removed stays: nobody reads it.
    """
    for left in half_written(folder, name):
        with suppress(OSError):
            left.unlink()


@contextmanager
def new_file(path: Path, mode: int) -> Iterator[int]:
    """Open a file that is not there yet, to be written; closed in the end."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        yield file
    finally:
        os.close(file)


def write_pieces(file: int, pieces: Sequence[bytes | memoryview], *, durable: bool) -> None:
    """Write pieces into an empty file, one after the other.

    ``durable``: they are on the disk when this returns. Large ones then go straight to it (``O_DIRECT``), where the
    file system can do that: they are hardly ever read again. The system's cache costs several times what copying the
    bytes does, and keeps them. They come from memory of our own, which begins and ends where the disk's blocks do.

    Raises:
        OSError: the disk is full, or fails.
    """
    if durable and sum(map(len, pieces)) >= BLOCK_BYTES and _past_cache(file, past=True):
        _write_blocks(file, pieces)
    else:
        with open(file, "wb", closefd=False) as buffered:
            buffered.writelines(pieces)
    if durable:
        os.fsync(file)


def _write_blocks(file: int, pieces: Sequence[bytes | memoryview]) -> None:
    block, filled = room(BLOCK_BYTES), 0
    for piece in pieces:
        rest, place = memoryview(piece), 0
        while place < len(rest):
            part = rest[place : place + BLOCK_BYTES - filled]
            block[filled : filled + len(part)] = part
            place, filled = place + len(part), filled + len(part)
            if filled == BLOCK_BYTES:
                _write_all(file, block)
                filled = 0
    _past_cache(file, past=False)  # what is left is no whole block
    _write_all(file, block[:filled])


def _write_all(file: int, content: memoryview) -> None:
    while content:
        try:
            content = content[os.write(file, content) :]
        except OSError as error:  # the file system took the flag and cannot do it, or has written a part of a block
            if error.errno != errno.EINVAL or not _past_cache(file, past=False):
                raise


def _past_cache(file: int, *, past: bool) -> bool:
    """Let what is written to a file go past the system's cache, or not; False if it did so before, or cannot."""
    direct = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    wanted = flags | direct if past else flags & ~direct
    if wanted == flags:
        return False
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, wanted)
    except OSError:
        return False
    return True


def read_whole(path: Path, do: str = "") -> bytes:
    """Read a file that must be there; ``do``: what to do if it is not, or cannot be read.

    Raises:
        StorageError: it is not there, or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"the file cannot be read ({error.strerror})", where=str(path), do=do) from None


def read_private(path: Path, what: str, most_bytes: int = -1) -> bytes:
    """Read a file, or its first bytes, that nobody but its owner may read; ``what`` names it to a person.

    Raises:
        StorageError: others may read it.
        OSError: it is not there, or cannot be read.
    """
    with path.open("rb") as file:
        open_to_others = os.fstat(file.fileno()).st_mode & 0o077
        content = file.read(most_bytes)
    if open_to_others:
        raise StorageError(f"other users can read {what}", where=str(path), do=f"Run: chmod 600 '{path}'")
    return content


def _make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it, so that a power cut takes none of them away again."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True, mode=mode)
    flush_names(folder.parent)


def flush_names(folder: Path) -> None:
    """Let the names in a folder outlive a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep every other process out of a folder; the operating system lets go when this process ends, however it ends.

    Raises:
        StorageError: another process is in it, or it cannot be written.
    """
    with no_room_is_said(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(lock):
            raise StorageError(
                "another process is using this folder", where=str(folder), do="Stop it, or wait until it has finished."
            )
        yield
    finally:
        os.close(lock)


def somebody_in(folder: Path) -> bool:
    """Tell whether a process is in a folder by ``alone_in``; one that was killed is not."""
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    """Take a lock; it may be held for a moment by a process that only looks (``somebody_in``)."""
    for attempt in range(LOOKERS):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if attempt + 1 < LOOKERS:
                time.sleep(0.02)
        else:
            return True
    return False
