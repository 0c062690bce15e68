"""Where a hospital keeps what it has read, and its keys: outside its image folder, readable by its owner only."""

from __future__ import annotations

import hashlib
from pathlib import Path

import platformdirs


def default_state(folder: Path) -> Path:
    """Return the place in the user's cache for the index and the prepared images of an image folder."""
    name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return platformdirs.user_cache_path("wardround") / name


def hospital_state() -> Path:
    """Return the place in the user's data folder for a hospital's keys and accounts: no cache, it must be kept."""
    return platformdirs.user_data_path("wardround") / "hospital"
