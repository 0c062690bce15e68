"""What a power cut leaves: of all that a process wrote, only what it had flushed (``fsync``) before.

The strict reading of POSIX, which disks and file systems may be kinder than: what was written to a file counts when the
file was flushed after it; a new, renamed or removed name counts when its folder was flushed after that; a new folder
when the folder that it is in was. What SQLite does it does below Python, unseen here: its databases stay as they were
written, and :func:`lose_the_tail` cuts off what it had not flushed.
"""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WAL_HEADER, FRAME_HEADER = 32, 24
NOT_WATCHED = (".db", ".sqlite", "-wal", "-shm", "-journal", ".sock", "lock", ".log", ".fault", ".met", ".cut", ".full")
BACKFILLED = 96  # where the index of a write-ahead log says how many of its frames are in the database, and flushed


@dataclass
class Flushed:
    """Watches this process write below ``folder``, and can set everything there back to what was flushed."""

    folder: Path
    before: dict[Path, bytes | None] = field(default_factory=dict)  # touched: what a power cut would leave, None: none
    contents: dict[int, bytes] = field(default_factory=dict)  # by inode, what was flushed of a file
    inodes: dict[Path, int] = field(default_factory=dict)  # of what a touched name named
    ours: set[Path] = field(default_factory=set)  # written here and not flushed yet; what others write is theirs
    folders: set[Path] = field(default_factory=set)  # made, and their own folder not flushed since

    def watch(self) -> None:
        """Begin; there is no end, as Python's audit hooks have none."""
        self.real_fsync = os.fsync
        os.fsync = self._fsync
        sys.addaudithook(self._hear)

    def cut(self) -> int:
        """Set everything back, as the disk would be found; give how many files and folders it changed."""
        touched, self.before, made = self.before, {}, sorted(self.folders)
        changed = 0
        for path, content in touched.items():
            now = path.read_bytes() if path.is_file() else None
            if now == content:
                continue
            changed += 1
            if content is None:
                path.unlink()
            elif path.parent.is_dir():
                path.write_bytes(content)
        for path in reversed(made):
            if path.is_dir():
                changed += 1
                for root, folders, files in os.walk(path, topdown=False):
                    for name in files:
                        Path(root, name).unlink()
                    for name in folders:
                        Path(root, name).rmdir()
                path.rmdir()
        return changed

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            name, _, flags = arguments
            if isinstance(name, str | os.PathLike) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._touch(name, True)
        elif event == "os.remove":
            self._touch(arguments[0], False)
        elif event == "os.rename":
            moved = self._below(arguments[0]) in self.ours
            self._touch(arguments[0], False)
            self._touch(arguments[1], moved)
        elif event == "os.mkdir":
            path = self._below(arguments[0])
            if path is not None and not path.exists():
                self.folders.add(path)

    def _below(self, path: object) -> Path | None:
        if not isinstance(path, str | os.PathLike):
            return None
        whole = Path(path).absolute()
        return None if whole.name.endswith(NOT_WATCHED) or self.folder not in whole.parents else whole

    def _touch(self, name: object, ours: bool) -> None:
        path = self._below(name)
        if path is None or path.is_dir():
            return
        (self.ours.add if ours else self.ours.discard)(path)
        if path in self.before:
            return
        self.before[path] = None
        self.inodes.pop(path, None)
        if path.is_file():
            self.before[path], self.inodes[path] = path.read_bytes(), path.stat().st_ino

    def _fsync(self, file: int) -> None:
        self.real_fsync(file)
        path = self._below(Path(f"/proc/self/fd/{file}").readlink())
        if path is None:
            return
        if path.is_dir():
            self._flush_names(path)
        elif path.is_file():
            content = path.read_bytes()
            self.contents[path.stat().st_ino] = content
            if self.before.get(path) is not None:
                del self.before[path]  # its name was there before
                self.ours.discard(path)

    def _flush_names(self, folder: Path) -> None:
        self.folders = {made for made in self.folders if made.parent != folder}
        for path in [path for path in self.before if path.parent == folder]:
            if path in self.ours and path.is_file():
                inode = path.stat().st_ino
                if self.contents.get(inode) != path.read_bytes():
                    if self.inodes.get(path) != inode:  # else it was written to where it was: what it had stays
                        self.before[path] = b""  # the name is there, and nothing of what it names
                    continue
            del self.before[path]
            self.ours.discard(path)


def lose_the_tail(database: Path) -> int:
    """Cut off what may not have been flushed of a database's write-ahead log; give how many frames that were.

    With ``synchronous = NORMAL`` SQLite flushes the log only before it copies frames into the database. Those that it
    copied stay; the others may all be lost. With ``FULL``, as the coordinator has it, none is: then this is a disk that
    said of the log's flushes that they were done, and they were not.
    """
    log, index = database.with_name(database.name + "-wal"), database.with_name(database.name + "-shm")
    if not log.exists() or log.stat().st_size < WAL_HEADER:
        return 0
    content = log.read_bytes()
    frame = FRAME_HEADER + struct.unpack(">I", content[8:12])[0]
    frames = (len(content) - WAL_HEADER) // frame
    copied = struct.unpack("<I", index.read_bytes()[BACKFILLED : BACKFILLED + 4])[0] if index.exists() else 0
    log.write_bytes(content[: WAL_HEADER + min(copied, frames) * frame])
    index.unlink(missing_ok=True)
    return frames - min(copied, frames)
