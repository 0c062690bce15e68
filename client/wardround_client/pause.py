"""A hospital that pauses: it stays connected, and starts no new work until it resumes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from wardround_common.errors import StorageError
from wardround_common.storage import no_room_is_said, write_atomically

FLAG = "paused"
FINISHING = ("confirm", "open")
"""Questions that finish a secure sum of which this hospital is a part already; without its answer it would be lost."""


def pause(folder: Path) -> bool:
    """Pause from now on, also after a restart; say whether it was not so before.

    Raises:
        StorageError: it cannot be written.
    """
    if paused_since(folder):
        return False
    write_atomically(folder / FLAG, datetime.now(UTC).isoformat(timespec="seconds").encode(), private=True)
    return True


def resume(folder: Path) -> None:
    """End the pause.

    Raises:
        StorageError: the folder cannot be written.
    """
    with no_room_is_said(folder):
        (folder / FLAG).unlink(missing_ok=True)


def paused_since(folder: Path) -> str:
    """Say since when the hospital has paused; nothing if it does not.

    Raises:
        StorageError: that cannot be read.
    """
    try:
        return (folder / FLAG).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError):
        raise StorageError("it cannot be read whether this hospital has paused", where=str(folder / FLAG)) from None
