"""A hospital's identity on its disk: made here once, readable by its owner only; the private half never leaves."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from wardround_common.errors import StorageError
from wardround_common.secagg.identity import Identity
from wardround_common.storage import write_atomically

NAME = "identity.pem"


def make_identity(state: Path) -> tuple[Identity, bool]:
    """Give the hospital's identity and whether it was made just now: one that is there is never replaced.

    Raises:
        StorageError: it cannot be written, or what is there cannot be used.
    """
    if (state / NAME).exists():
        return read_identity(state), False
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(state / NAME, pem, private=True)
    return Identity(key.private_bytes_raw()), True


def read_identity(state: Path) -> Identity:
    """Read the identity that the hospital made in its state folder.

    Raises:
        StorageError: there is none, it is damaged, or others may read it.
    """
    path = state / NAME
    try:
        with path.open("rb") as file:
            open_to_others = os.fstat(file.fileno()).st_mode & 0o077
            pem = file.read(10_000)
        key = load_pem_private_key(pem, None)
    except FileNotFoundError:
        raise StorageError(
            "this hospital has no identity yet", where=str(path), do="Make it with: wardround hospital identity NAME"
        ) from None
    except (OSError, ValueError, TypeError):
        raise _unusable(path, "the identity is damaged or cannot be read") from None
    if open_to_others:
        raise StorageError(
            "others may read this hospital's private key", where=str(path), do=f"Run: chmod 600 '{path}'"
        )
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, "this is no Ed25519 key")
    return Identity(key.private_bytes_raw())


def _unusable(path: Path, what: str) -> StorageError:
    return StorageError(
        what,
        where=str(path),
        do="Restore it from your backup. A new one is another hospital to every study: enrol again.",
    )
