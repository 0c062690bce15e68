"""Private keys on the disk of whom they belong to: made there, readable by their owner only, never replaced unasked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from wardround_common.errors import StorageError
from wardround_common.secagg.identity import Identity
from wardround_common.storage import no_room_is_said, write_atomically

LARGEST_FILE_BYTES = 64 * 1024
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


def private_folder(path: Path) -> None:
    """Make a folder that only its owner may look into; one that is there stays as it is.

    Raises:
        StorageError: it cannot be made.
    """
    with no_room_is_said(path):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)


def private_pem(key: PrivateKey) -> bytes:
    """Write a private key as PEM (PKCS 8, not encrypted: a service starts without a person)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_key(path: Path, key: PrivateKey) -> None:
    """Write a private key into a folder of its owner's.

    Raises:
        StorageError: it cannot be written.
    """
    private_folder(path.parent)
    write_atomically(path, private_pem(key), private=True)


def read_private(path: Path, *, absent: str, do: str) -> bytes:
    """Read a file that only its owner may read; ``absent`` and ``do`` say what is wrong when there is none.

    Raises:
        StorageError: there is none, it cannot be read, or others may read it.
    """
    try:
        with path.open("rb") as file:
            open_to_others = os.fstat(file.fileno()).st_mode & 0o077
            content = file.read(LARGEST_FILE_BYTES)
    except FileNotFoundError:
        raise StorageError(absent, where=str(path), do=do) from None
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        raise StorageError(
            f"the private key cannot be read: {reason}", where=str(path), do="Look at its permissions."
        ) from None
    if open_to_others:
        raise StorageError("others may read this private key", where=str(path), do=f"Run: chmod 600 '{path}'")
    return content


def read_identity_key(path: Path, *, absent: str, do: str, damaged: str) -> Identity:
    """Read an Ed25519 identity; ``damaged`` says what to do when the file is none.

    Raises:
        StorageError: it cannot be used.
    """
    key = _parsed(read_private(path, absent=absent, do=do))
    if not isinstance(key, Ed25519PrivateKey):
        raise StorageError("this is no Ed25519 private key", where=str(path), do=damaged)
    return Identity(key.private_bytes_raw())


def read_p256_key(path: Path, *, absent: str, do: str, damaged: str) -> EllipticCurvePrivateKey:
    """Read a NIST P-256 private key; ``damaged`` says what to do when the file is none.

    Raises:
        StorageError: it cannot be used.
    """
    key = _parsed(read_private(path, absent=absent, do=do))
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise StorageError("this is no NIST P-256 private key", where=str(path), do=damaged)
    return key


def set_aside(paths: Sequence[Path], folder: Path) -> None:
    """Move files that no longer count into a folder of their own, so that nothing is ever lost.

    Raises:
        StorageError: they cannot be moved.
    """
    private_folder(folder)
    for path in paths:
        if path.exists():
            with no_room_is_said(folder):
                path.replace(folder / path.name)


def _parsed(pem: bytes) -> object:
    try:
        return load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # damaged, of an unknown kind, or locked with a password
        return None
