"""Private keys on their owner's disk: made there, readable only by their owner, never replaced unasked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

from wardround_common.errors import CHECK_FILE, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.storage import no_room_is_said, read_private, write_atomically

LARGEST_FILE_BYTES = 10_000
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


@dataclass(frozen=True)
class Words:
    """How a person is told that a private key cannot be used."""

    key: str
    """Which one, such as "this hospital's private key"."""
    absent: str
    """What is wrong when there is none."""
    make: str
    """What to do then."""
    restore: str
    """What to do when the file is damaged."""


def read_identity_key(path: Path, words: Words) -> Identity:
    """Read an Ed25519 identity.

    Raises:
        StorageError: there is none, it is damaged or of another kind, or others may read it.
    """
    key = _read_private(path, words)
    if not isinstance(key, Ed25519PrivateKey):
        raise StorageError("this is not an Ed25519 key", where=str(path), do=words.restore)
    return Identity(key.private_bytes_raw())


def read_p256_key(path: Path, words: Words) -> EllipticCurvePrivateKey:
    """Read a NIST P-256 private key.

    Raises:
        StorageError: there is none, it is damaged or of another kind, or others may read it.
    """
    key = _read_private(path, words)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise StorageError("this is not a NIST P-256 key", where=str(path), do=words.restore)
    return key


def _read_private(path: Path, words: Words) -> object:
    try:
        return load_pem_private_key(read_private(path, words.key, LARGEST_FILE_BYTES), None)
    except FileNotFoundError:
        raise StorageError(words.absent, where=str(path), do=words.make) from None
    except PermissionError:
        raise StorageError(f"this user may not read {words.key}", where=str(path), do=CHECK_FILE) from None
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is locked with a password
        raise StorageError(f"{words.key} is damaged or cannot be read", where=str(path), do=words.restore) from None


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
