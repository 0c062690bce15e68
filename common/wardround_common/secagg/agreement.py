"""Secrets that two hospitals share without exchanging a message: X25519, then HKDF-SHA256 (section 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wardround_common.canonical import joined
from wardround_common.errors import MessageError
from wardround_common.keys.identity import DOMAIN


@dataclass(frozen=True)
class AgreementKey:
    """A hospital's key for agreeing on secrets, made for one run of one study; ``secret`` are its 32 bytes."""

    secret: bytes = field(repr=False)
    _shared: dict[bytes, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()

    def derive(self, other: bytes, role: bytes, *parts: bytes) -> bytes:
        """Return 32 secret bytes that only we and the holder of ``other`` can derive, for one role and one use.

        Raises:
            MessageError: ``other`` is a point that would make the secret known to everybody.
        """
        if other not in self._shared:
            self._shared[other] = self._exchange(other)
        return HKDF(SHA256(), 32, salt=DOMAIN, info=joined(role, *parts)).derive(self._shared[other])

    def _exchange(self, other: bytes) -> bytes:
        try:
            return X25519PrivateKey.from_private_bytes(self.secret).exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:
            raise MessageError("a key-agreement key is a point of small order") from None
