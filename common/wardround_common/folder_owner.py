"""Whose a folder is: a hospital's or a coordinator's, never both.

Either would take the other's keys for its own. A mark says so from before the first key; a folder of an earlier version
is told by its files.
"""

from __future__ import annotations

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
