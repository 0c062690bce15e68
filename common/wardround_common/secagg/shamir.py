"""Shamir's secret sharing of 32-byte secrets over a prime field (CACM 22, 1979; docs/secagg.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError

PRIME = 2**256 + 297  # the least prime in which every 32-byte number has a place
SHARE_BYTES = 33
RandomBytes = Callable[[int], bytes]
_LIMB_BYTES = 3
_LIMBS = 11  # of 24 bits: an element of the field has 257 bits
_EXACT = 32  # products of two limbs that a float64 can add up: 32 · 2^48 = 2^53


def split(secret: bytes, threshold: int, holders: Sequence[int], random: RandomBytes) -> list[bytes]:
    """Split a 32-byte secret into shares of 33 bytes, any ``threshold`` of which give it; fewer say nothing of it.

    Holder ``i`` has the polynomial's value at i + 1; the shares come in the order of ``holders``. ``random`` must be
    the system's generator.
    """
    return split_many([secret], threshold, holders, random)[0]


def split_many(
    secrets: Sequence[bytes], threshold: int, holders: Sequence[int], random: RandomBytes
) -> list[list[bytes]]:
    """Split several secrets among the same holders, each as :func:`split` does, one after the other.

    The values are sums of products of 24-bit limbs by one matrix product in float64, which is exact: no sum of
    products reaches 2^53. It is the arithmetic of Python's integers, ten times as fast for a hundred holders.
    """
    # 48 random bytes for each coefficient: reduced, they are uniform but for 2^-127.
    coefficients = [
        [int.from_bytes(secret, "big"), *(int.from_bytes(random(48), "big") % PRIME for _ in range(threshold - 1))]
        for secret in secrets
    ]
    powers = [[1] * len(holders)]
    while len(powers) < threshold:
        powers.append([before * (holder + 1) % PRIME for before, holder in zip(powers[-1], holders, strict=True)])
    left = _limbs(coefficients).transpose(2, 0, 1)  # (limbs, secrets, threshold)
    right = _limbs(powers).transpose(0, 2, 1)  # (threshold, limbs, holders)
    products = np.zeros((_LIMBS * len(secrets), _LIMBS * len(holders)), np.int64)
    for start in range(0, threshold, _EXACT):
        some = slice(start, start + _EXACT)
        part = left[:, :, some].reshape(len(products), -1) @ right[some].reshape(-1, products.shape[1])
        products += part.astype(np.int64)
    values = _values(products.reshape(_LIMBS, len(secrets), _LIMBS, len(holders)))
    return [[(value % PRIME).to_bytes(SHARE_BYTES, "big") for value in row] for row in values]


def _limbs(numbers: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return elements of the field (rows, columns) as (rows, columns, limbs) float64, the lowest limb first."""
    size = _LIMBS * _LIMB_BYTES
    written = b"".join(number.to_bytes(size, "little") for row in numbers for number in row)
    parts = np.frombuffer(written, np.uint8).reshape(len(numbers), -1, _LIMBS, _LIMB_BYTES).astype(np.float64)
    found: NDArray[np.float64] = parts @ np.array([1.0, 2.0**8, 2.0**16])
    return found


def _values(products: NDArray[np.int64]) -> list[list[int]]:
    """Put products of limbs (limbs, secrets, limbs, holders) together to numbers, by secret and holder."""
    _, secrets, _, holders = products.shape
    places = 2 * _LIMBS + 1
    columns = np.zeros((places, secrets, holders), np.int64)  # below 2^60: 11 products of at most 2^56
    for limb in range(_LIMBS):
        columns[limb : limb + _LIMBS] += products[limb].transpose(1, 0, 2)
    for place in range(places - 1):
        columns[place + 1] += columns[place] >> 24
        columns[place] &= (1 << 24) - 1
    written = np.ascontiguousarray(columns.transpose(1, 2, 0)).astype("<u4").view(np.uint8)
    content = written.reshape(secrets, holders, places, 4)[..., :_LIMB_BYTES].tobytes()
    size = places * _LIMB_BYTES
    return [
        [int.from_bytes(content[at * size : (at + 1) * size], "little") for at in range(row, row + holders)]
        for row in range(0, secrets * holders, holders)
    ]


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
