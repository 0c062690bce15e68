"""The key that signs releases: of Wardround by its makers, of a simulated model by the researcher who made it."""

from __future__ import annotations

import shlex
from pathlib import Path

from wardround_common.keys.identity import Identity
from wardround_common.keys.key_files import Words, read_identity_key


def read_release_key(path: Path) -> Identity:
    """Read the private key of a release.

    Raises:
        StorageError: there is none, it is damaged or of another kind, or others may read it.
    """
    restore = "Restore the key from your copy."
    make = f"Make one once: wardround release key {shlex.quote(str(path))}"
    return read_identity_key(path, Words("the release key", "there is no such key", make, restore))
