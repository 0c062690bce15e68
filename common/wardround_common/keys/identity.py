"""Who a hospital is: an Ed25519 key which never leaves, and the roster of public ones (docs/secagg.md, 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wardround_common.canonical import joined
from wardround_common.errors import MessageError

KEY_BYTES = 32
SIGNATURE_BYTES = 64
DOMAIN = b"wardround secagg 1"


@dataclass(frozen=True)
class Identity:
    """A hospital's own key; ``secret`` are its 32 bytes."""

    secret: bytes = field(repr=False)

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.secret)

    @cached_property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, role: bytes, *parts: bytes) -> bytes:
        """Sign parts of a statement; ``role`` names which statement it is, so that none passes for another."""
        return self._private.sign(joined(DOMAIN, role, *parts))


def check_signature(public: bytes, signature: bytes, role: bytes, *parts: bytes) -> None:
    """Check that the holder of ``public`` signed this statement.

    Raises:
        MessageError: it did not.
    """
    try:
        _verify(public, signature, joined(DOMAIN, role, *parts))
    except (InvalidSignature, ValueError):
        raise MessageError(f"a signature of the {role.decode()} is not valid") from None


@lru_cache(maxsize=1 << 14)
def _verify(public: bytes, signature: bytes, statement: bytes) -> None:
    """Verify a signature; one that is valid is known by all of its bytes, and is not verified again.

    A hospital meets the same signed keys of a cohort in every sum of a run.
    """
    Ed25519PublicKey.from_public_bytes(public).verify(signature, statement)


@dataclass(frozen=True)
class Roster:
    """The hospitals that may take part, by name, with their public keys: each of them keeps its own copy."""

    keys: Mapping[str, bytes]

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over names and keys."""
        parts = [part for name in sorted(self.keys) for part in (name.encode(), self.keys[name])]
        return hashlib.sha256(joined(DOMAIN, b"roster", *parts)).digest()


def fingerprint(public: bytes) -> str:
    """Return 20 digits in groups of five that two people can compare over a telephone; a forger needs 2^66 tries."""
    number = int.from_bytes(hashlib.sha256(joined(DOMAIN, b"fingerprint", public)).digest(), "big") % 10**20
    digits = f"{number:020d}"
    return " ".join(digits[start : start + 5] for start in range(0, 20, 5))
