"""Whether a hospital's folder shows that it had a ledger: then no new one may begin silently, whatever files are lost.

A ledger that begins says that nobody has spent anything. So it begins only in a folder where nothing says otherwise;
``wardround hospital ledger restore`` and ``rebuild`` are the ways back (docs/ledger.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from wardround_client.spending.ledger.patients import KEY_NAME
from wardround_client.spending.ledger.told import Told, missing, read_told
from wardround_common.audit.log import NAME as AUDIT
from wardround_common.errors import StorageError
from wardround_common.storage import write_atomically

BEGINNING = "ledger.beginning"
"""Lies in the folder from before the first file of a ledger until the ledger has its first entry: a crash in between is
no loss."""
BEHIND = "ledger.behind"
"""Lies in the folder while the ledger there is known to be older than what was spent; it holds the later head, if
the coordinator was told of one."""
ROLLED_BACK = (
    "the ledger is older than what was spent: this hospital has told the coordinator of a later one. Its folder was "
    "rolled back to an older copy, or two copies of it serve"
)
REBUILD = (
    "No study is trained until this is fixed. Put a copy back: wardround hospital ledger restore COPY. Without one, "
    "or after an older one: wardround hospital ledger rebuild, which charges every patient the most that the audit log "
    "records."
)


def logs(folder: Path) -> list[Path]:
    """Name the folders of audit logs, the oldest first: those of keys that were replaced, then the one in use."""
    return [*sorted(folder.glob(f"replaced/*/{AUDIT}")), folder / AUDIT]


def traces(folder: Path) -> Iterator[str]:
    """Say what shows that there was a ledger, besides its own two files."""
    if (folder / KEY_NAME).exists() and not (folder / BEGINNING).exists():
        yield f"{KEY_NAME} is there"
    if any(read_told(log).speaks for log in logs(folder)):
        yield "the audit log records approved studies"
    studies = folder / "studies"
    if any(studies.glob("*/stream.key")) or any(studies.glob("*/desk")):
        yield "there are secrets of studies in which it trained"
    if any(_approved(path) for path in studies.glob("*.json")):
        yield "a study is approved"


def check_no_past(folder: Path) -> None:
    """Check that nothing shows that there was a ledger before.

    Raises:
        StorageError: something does; it says what.
    """
    found = list(traces(folder))
    if found:
        raise StorageError(
            f"the ledger is missing, although there was one: {'; '.join(found)}", where=str(folder), do=REBUILD
        )


def note_behind(folder: Path, head: str = "") -> None:
    """Note that the ledger does not know all that was spent; ``head`` is a later one of it, if that is how it is known.

    Raises:
        StorageError: it cannot be written.
    """
    if not later_head(folder):
        write_atomically(folder / BEHIND, head.encode(), private=True)


def later_head(folder: Path) -> str:
    """Return the later head that the coordinator was told, if that is how it is known that the ledger is behind."""
    with suppress(OSError):
        return (folder / BEHIND).read_text("ascii", "replace").strip()
    return ""


def check_not_behind(folder: Path) -> None:
    """Check that the ledger is not one that waits to be rebuilt.

    Raises:
        StorageError: it is.
    """
    if later_head(folder):
        raise StorageError(
            ROLLED_BACK,
            where=str(folder),
            do="No study is trained here. Stop every copy but one. If the newer folder still exists, put it in the "
            "place of this one. If not: wardround hospital ledger rebuild --at-least EPSILON",
        )
    if (folder / BEHIND).exists():
        raise StorageError(
            "the ledger is a copy that does not know all that was spent after it",
            where=str(folder),
            do="No study is trained until you run: wardround hospital ledger rebuild",
        )


def check_reaches(folder: Path, told: Told, approved: Iterable[str], charged: Iterable[tuple[str, int]]) -> None:
    """Check that a ledger knows what the audit log next to it proves.

    Raises:
        StorageError: it was rolled back to an older copy, or is not the one of this folder.
    """
    found = missing(told, approved, charged)
    if found:
        raise StorageError(
            f"the ledger is older than the audit log next to it, which records {'; '.join(found)}",
            where=str(folder),
            do=REBUILD,
        )


def _approved(record: Path) -> bool:
    with suppress(OSError, ValueError, AttributeError):
        return bool(json.loads(record.read_bytes()).get("decision") == "approved")
    return False
