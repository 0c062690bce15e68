"""Bytes that only their receiver can read, and only from their sender: ChaCha20-Poly1305 (RFC 8439; section 5)."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from wardround_common.errors import MessageError
from wardround_common.secagg.shamir import RandomBytes

NONCE_BYTES = 12
OVERHEAD_BYTES = NONCE_BYTES + 16


def seal(key: bytes, content: bytes, bound_to: bytes, random: RandomBytes) -> bytes:
    """Seal ``content`` under a 32-byte key so that it opens only together with ``bound_to``."""
    nonce = random(NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, content, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """Open what was sealed.

    Raises:
        MessageError: it was changed, is from or for somebody else, or belongs to another sum.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        raise MessageError("sealed shares were changed, or belong to another sum") from None
