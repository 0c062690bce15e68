"""Folders of prepared files, made once: complete or absent, whatever crash or full disk intervenes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardround_common.storage import no_room_is_said

FOLDER = "prepared"
"""In a hospital's state."""
DONE = "done.json"
"""What was made, written last: a folder that has it is whole."""

Facts = dict[str, Any]


def made_once(folder: Path, make: Callable[[Path], Facts], *, again: Callable[[Facts], bool]) -> Facts:
    """Return what is known of a folder of prepared files; ``make`` writes them, and says it, where there is none yet.

    ``again`` tells of what was made before whether it must be made anew.

    Raises:
        FullDiskError: the disk has no room for it.
    """
    facts = _facts(folder)
    if facts is not None and not again(facts):
        return facts
    shutil.rmtree(folder, ignore_errors=True)  # who has these files open keeps them
    making = folder.with_name(f"{folder.name}.{os.getpid()}.making")
    with no_room_is_said(making):
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True, mode=0o700)
        (making / DONE).write_text(json.dumps(make(making)))
        try:
            making.rename(folder)
        except OSError:
            if not (folder / DONE).exists():
                raise
            shutil.rmtree(making, ignore_errors=True)  # another process made the same files meanwhile
    return json.loads((folder / DONE).read_text())  # type: ignore[no-any-return]


def _facts(folder: Path) -> Facts | None:
    try:
        facts: Facts = json.loads((folder / DONE).read_text())
    except FileNotFoundError:
        return None
    return facts
