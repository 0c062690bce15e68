"""A hospital that pauses: it stays connected, and starts no new work until it resumes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wardround_common.errors import CHECK_FILE, StorageError

if TYPE_CHECKING:  # of pydantic, which a health check does not need
    from wardround_common.audit.pending import Change

FLAG = "paused"
FINISHING = ("confirm", "open")
"""Questions that finish a secure sum of which this hospital is a part already; without its answer it would be lost."""


def pausing(folder: Path) -> Change:
    """Return the change with which a hospital pauses, also after a restart."""
    from wardround_common.audit.pending import Change, Written

    return Change((Written(folder / FLAG, datetime.now(UTC).isoformat(timespec="seconds").encode()),))


def resuming(folder: Path) -> Change:
    """Return the change that ends the pause."""
    from wardround_common.audit.pending import Change

    return Change(removed=(folder / FLAG,))


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
        raise StorageError(
            "the record of whether this hospital is paused cannot be read",
            where=str(folder / FLAG),
            do=CHECK_FILE,
        ) from None
