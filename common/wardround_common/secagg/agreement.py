"""Secrets that two hospitals share without exchanging a message: X25519, then HKDF-SHA256 (section 3)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wardround_common.canonical import joined
from wardround_common.errors import MessageError
from wardround_common.keys.identity import DOMAIN

_INNER, _OUTER = (bytes(one ^ byte for one in range(256)) for byte in (0x36, 0x5C))


@dataclass(frozen=True)
class AgreementKey:
    """A hospital's key for agreeing on secrets, made for one run of one study; ``secret`` are its 32 bytes."""

    secret: bytes = field(repr=False)
    pairs: dict[tuple[bytes, ...], bytes] | None = field(default=None, repr=False, compare=False)
    """Where both ends of a pair are in one process, as only in a simulation: what the first end found, by the two
    public keys, until the second one takes it out. Both would compute the same 32 bytes (RFC 7748, section 6.1).
    """
    _shared: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def _private(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.secret)

    @cached_property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def derive(self, other: bytes, role: bytes, *parts: bytes) -> bytes:
        """Return 32 secret bytes that only we and the holder of ``other`` can derive, for one role and one use.

        Raises:
            MessageError: ``other`` is a point that would make the secret known to everybody.
        """
        if other not in self._shared:
            self._shared[other] = _padded(self._agreed(other))
        # HKDF's expand, of one block, with the key in the form that HMAC hashes it in: a sum asks for some 250 of them.
        inner, outer = self._shared[other]
        return sha256(outer + sha256(inner + joined(role, *parts) + b"\1").digest()).digest()

    def _agreed(self, other: bytes) -> bytes:
        pair = tuple(sorted((self.public, other)))
        if self.pairs and pair in self.pairs:
            return self.pairs.pop(pair)
        agreed = hmac.digest(DOMAIN, self._exchange(other), "sha256")  # HKDF's extract (RFC 5869)
        if self.pairs is not None:
            self.pairs[pair] = agreed
        return agreed

    def _exchange(self, other: bytes) -> bytes:
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:
            raise MessageError("a key-agreement key is a point of small order") from None


def _padded(key: bytes) -> tuple[bytes, bytes]:
    """Return a key of 32 bytes as an HMAC's inner and outer hash begin with it (RFC 2104, section 2)."""
    padded = key.ljust(64, b"\0")
    return padded.translate(_INNER), padded.translate(_OUTER)
