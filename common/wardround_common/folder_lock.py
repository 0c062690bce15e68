"""One process at a time serves from a folder; the system gives the lock back however that process ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardround_common.errors import StorageError
from wardround_common.storage import no_room_is_said


@contextmanager
def only_one(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder's lock; ``what`` names who serves from it. There is no stale lock: it is not the file that counts.

    Raises:
        StorageError: another process holds it.
    """
    path = folder / "lock"
    with no_room_is_said(path):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StorageError(f"{what} serves from this folder already", where=str(folder)) from None
        yield
    finally:
        os.close(handle)
