"""Shamir's secret sharing of 32-byte secrets over a prime field (CACM 22, 1979; docs/secagg.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from wardround_common.errors import MessageError

PRIME = 2**256 + 297  # the least prime in which every 32-byte number has a place
SHARE_BYTES = 33
RandomBytes = Callable[[int], bytes]


def split(secret: bytes, threshold: int, holders: Sequence[int], random: RandomBytes) -> list[bytes]:
    """Split a 32-byte secret into shares of 33 bytes, any ``threshold`` of which give it; fewer say nothing of it.

    Holder ``i`` has the polynomial's value at i + 1; the shares come in the order of ``holders``. ``random`` must be
    the system's generator.
    """
    # 48 random bytes for each coefficient: reduced, they are uniform but for 2^-127.
    above = [int.from_bytes(random(48), "big") % PRIME for _ in range(threshold - 1)]
    coefficients = [int.from_bytes(secret, "big"), *above]
    return [_value(coefficients, holder + 1).to_bytes(SHARE_BYTES, "big") for holder in holders]


def weights(holders: Sequence[int]) -> dict[int, int]:
    """Return Lagrange's weights at 0 for the shares of these holders, each named once."""
    found = {}
    for one in holders:
        above, below = 1, 1
        for other in holders:
            if other != one:
                above = above * (other + 1) % PRIME
                below = below * (other - one) % PRIME
        found[one] = above * pow(below, -1, PRIME) % PRIME
    return found


def combine(shares: Mapping[int, bytes], at_zero: Mapping[int, int]) -> bytes:
    """Return the secret from the shares of the holders for which ``at_zero`` has the weights.

    Raises:
        MessageError: a share is not a share, or together they are none of a 32-byte secret.
    """
    total = sum(share_number(shares[holder]) * weight for holder, weight in at_zero.items()) % PRIME
    if total >= 2**256:
        raise MessageError("the shares do not belong together")
    return total.to_bytes(32, "big")


def share_number(share: bytes) -> int:
    """Read a share.

    Raises:
        MessageError: it is not an element of the field in 33 bytes.
    """
    number = int.from_bytes(share, "big")
    if len(share) != SHARE_BYTES or number >= PRIME:
        raise MessageError("a share is not an element of the field")
    return number


def _value(coefficients: Sequence[int], at: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * at + coefficient) % PRIME
    return value
