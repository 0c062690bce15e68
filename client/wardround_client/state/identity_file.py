"""A hospital's identity on its disk: made here once, readable by its owner only; the private half never leaves."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wardround_common.keys.identity import Identity
from wardround_common.keys.key_files import Words, read_identity_key, write_key

NAME = "identity.pem"


def make_identity(state: Path) -> tuple[Identity, bool]:
    """Return the hospital's identity and whether it was made just now: one that is there is never replaced.

    Raises:
        StorageError: it cannot be written, or what is there cannot be used.
    """
    if (state / NAME).exists():
        return read_identity(state), False
    key = Ed25519PrivateKey.generate()
    write_key(state / NAME, key)
    return Identity(key.private_bytes_raw()), True


def read_identity(state: Path) -> Identity:
    """Read the identity that the hospital made in its state folder.

    Raises:
        StorageError: there is none, it is damaged, or others may read it.
    """
    return read_identity_key(state / NAME, _WORDS)


_WORDS = Words(
    key="this hospital's private key",
    absent="this hospital has no identity yet",
    make="Set this hospital up with: wardround hospital init NAME --data DIR; or name its folder with --state.",
    restore="Restore it from your backup. A new one is another hospital to every study: enrol again.",
)
