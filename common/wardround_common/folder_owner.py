"""Whose a folder is: a hospital's or a coordinator's, never both.

Either would take the other's keys for its own. A mark says so from before the first key; a folder of an earlier version
is told by its files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from wardround_common.errors import StorageError
from wardround_common.storage import write_atomically

Owner = Literal["hospital", "coordinator"]
MARK = "owner"
_SIGNS: dict[str, Owner] = {
    "hospital.toml": "hospital",
    "hospital.request": "hospital",
    "node.pem": "hospital",
    "ledger.sqlite": "hospital",
    "coordinator.toml": "coordinator",
    "authority.key": "coordinator",
    "server.pem": "coordinator",
}


def check_owner(folder: Path, owner: Owner) -> None:
    """Check that a folder is not somebody else's; a new one is nobody's.

    Raises:
        StorageError: it is; nothing was changed.
    """
    found = _owner(folder)
    if found not in (None, owner):
        raise StorageError(
            f"this is the folder of a {found}, and a {owner} keeps its own keys",
            where=str(folder),
            do="Name another folder." if owner == "coordinator" else "Name another with --state.",
        )


def check_readable(folder: Path) -> None:
    """Check, before a service starts, that this user may read what lies in its folder and one level below.

    A folder that was restored or copied as root often is not this user's: each file would then be missing to whoever
    looks for it, and be called damaged by whoever needs it.

    Raises:
        StorageError: it may not; it names the first file.
    """
    closed = sorted(_closed(folder, levels=2))
    if closed:
        more = f" and {len(closed) - 1:,} more" if len(closed) > 1 else ""
        raise StorageError(
            f"the user of this service may not read {closed[0].relative_to(folder)}{more}; nothing is damaged",
            where=str(folder),
            do=f"Was the folder restored or copied as another user? As root: chown -R {os.geteuid()} '{folder}'",
        )


def _closed(folder: Path, levels: int) -> Iterator[Path]:
    """Name what this process may not read, ``levels`` folders deep; sockets and links are passed over."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if levels > 1:
                        yield from _closed(Path(entry.path), levels - 1)
                elif entry.is_file(follow_symlinks=False) and not os.access(entry.path, os.R_OK, effective_ids=True):
                    yield Path(entry.path)
    except PermissionError:
        yield folder
    except OSError:
        return  # gone meanwhile, or worse: said by whoever needs it


def claim(folder: Path, owner: Owner) -> None:
    """Mark a folder as a hospital's or a coordinator's, unless it is marked so.

    Raises:
        StorageError: it is somebody else's, or cannot be written.
    """
    check_owner(folder, owner)
    if not (folder / MARK).exists():
        _let_nobody_else_in(folder)
        write_atomically(folder / MARK, f"{owner}\n".encode(), private=True)


def _let_nobody_else_in(folder: Path) -> None:
    """Close an empty folder that somebody made for us to other users; one that holds files is as its owner wants it."""
    with suppress(OSError):  # it is not there yet, or belongs to another user, as a volume may
        if not any(folder.iterdir()):
            folder.chmod(0o700)


def _owner(folder: Path) -> str | None:
    try:
        return (folder / MARK).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return next((owner for name, owner in _SIGNS.items() if (folder / name).exists()), None)
