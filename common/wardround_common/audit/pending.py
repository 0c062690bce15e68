"""A change of files together with its audit entry: both happen, or neither, whatever crash or full disk intervenes.

::

    NAME.ready           each new file, next to the place that it will take
    audit/pending        which files take their places, and which go, with the entry of which number
    the entry            from here on the change holds
    NAME.ready ─► NAME   and audit/pending goes

Anyone who notes next finds ``audit/pending`` if this was cut off: with the entry in the log the change is finished,
without it the files that were ready are removed. Everything has its room on the disk before the entry is written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wardround_common.errors import StorageError
from wardround_common.storage import flush_names, no_room_is_said, write_atomically

NAME = "pending"
READY = ".ready"


@dataclass(frozen=True)
class Written:
    """A file that a change writes whole; ``private``: for its owner only."""

    path: Path
    content: bytes = field(repr=False)
    private: bool = True


@dataclass(frozen=True)
class Change:
    """Files that are written, and files that are removed, in this order; all lie in the folder of whose log it is."""

    written: tuple[Written, ...] = ()
    removed: tuple[Path, ...] = ()

    def make(self) -> None:
        """Make the change by itself, where no log shows it.

        Raises:
            StorageError: it cannot be written.
        """
        for one in self.written:
            write_atomically(one.path, one.content, private=one.private)
        for path in self.removed:
            with no_room_is_said(path):
                path.unlink(missing_ok=True)


class _Pending(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    entry: int = Field(ge=1)
    written: list[str]
    """Paths from the folder of whose log it is, so that the folder may move."""
    removed: list[str]


def prepare(log: Path, entry: int, change: Change) -> None:
    """Make a change ready, which holds once entry number ``entry`` is in the log in the folder ``log``.

    Raises:
        StorageError: it cannot be written; then nothing of it is left.
    """
    owner = log.parent
    written = [os.path.relpath(one.path, owner) for one in change.written]
    pending = _Pending(entry=entry, written=written, removed=[os.path.relpath(path, owner) for path in change.removed])
    try:
        for one in change.written:
            write_atomically(_ready(one.path), one.content, private=one.private)
        write_atomically(log / NAME, pending.model_dump_json().encode(), private=True)
    except StorageError:
        _remove([log / NAME, *(_ready(one.path) for one in change.written)])
        raise


def finish(log: Path) -> None:
    """Let what was made ready take its place.

    Raises:
        StorageError: it cannot be written; it is tried again before the next entry.
    """
    pending, owner = _read(log), log.parent
    if pending is None:
        return
    for path in (owner / name for name in pending.written):
        with no_room_is_said(path):
            if _ready(path).exists():  # else it took its place before a crash
                _ready(path).replace(path)
                flush_names(path.parent)
    _remove([owner / name for name in pending.removed])
    _remove([log / NAME])


def give_up(log: Path) -> None:
    """Remove what was made ready: its entry is not in the log.

    Raises:
        StorageError: it cannot be removed.
    """
    pending = _read(log)
    if pending is not None:
        _remove([_ready(log.parent / name) for name in pending.written])
        _remove([log / NAME])


def take_up(log: Path, last: int) -> None:
    """Finish or give up the change that a crash cut off, if there is one; ``last``: the log's last entry.

    Raises:
        StorageError: the record of it is damaged, or it cannot be written.
    """
    pending = _read(log)
    if pending is not None:
        (finish if pending.entry <= last else give_up)(log)


def _ready(path: Path) -> Path:
    return path.with_name(path.name + READY)


def _read(log: Path) -> _Pending | None:
    try:
        return _Pending.model_validate_json((log / NAME).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise StorageError(
            "what was kept of a change that was cut off is damaged",
            where=str(log / NAME),
            do=f"Compare the log's last entry with the files that end in '{READY}', then remove this one.",
        ) from None


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with no_room_is_said(path):
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                flush_names(path.parent)
