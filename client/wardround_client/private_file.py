"""Files that only their owner may read: reports with images and names of files."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from wardround_common.storage import no_room_is_said


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only.

    Raises:
        StorageError: the disk is full or the folder may not be written.
    """
    making = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with no_room_is_said(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
            making.replace(path)
        except BaseException:
            making.unlink(missing_ok=True)
            raise
