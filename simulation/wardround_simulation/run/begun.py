"""Whether a folder holds a run that was begun, and can be resumed."""

from __future__ import annotations

from pathlib import Path


def is_begun(folder: Path) -> bool:
    """Tell whether a run has kept anything in its folder from which it can go on."""
    return (folder / "checkpoint").exists() or (folder / "run.json").exists()
