"""Shamir's secret sharing of 32-byte secrets, word by word over a small prime field (CACM 22, 1979; docs/secagg.md, 4).

A secret is 16 words of 16 bits, and each word is shared by a polynomial of its own over the field of 65,537: fewer than
``threshold`` shares of a word say nothing of it, and those of other words were drawn independently. What shares of one
number of 257 bits cost in long multiplication, words cost in one small matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.secagg.masks import keystream

PRIME = 2**16 + 1  # Fermat's: every word has a place in it, and every hospital of the largest cohort a point
SHARE_BYTES = 34
RandomBytes = Callable[[int], bytes]
WORDS = 16
_FLAGS = SHARE_BYTES - 2 * WORDS
_REFUSED = 2**32 - 1  # = 65,535 · PRIME: the 32-bit numbers below it are the field's elements equally often


def split(secret: bytes, threshold: int, holders: Sequence[int], random: RandomBytes) -> list[bytes]:
    """Split a 32-byte secret into shares of 34 bytes, any ``threshold`` of which give it; fewer say nothing of it.

    Holder ``i`` has the polynomials' values at i + 1; the shares come in the order of ``holders``. ``random`` must be
    the system's generator.
    """
    return [share.tobytes() for share in write_shares(split_many([secret], threshold, holders, random))[:, 0]]


def split_many(
    secrets: Sequence[bytes], threshold: int, holders: Sequence[int], random: RandomBytes
) -> NDArray[np.float64]:
    """Split several secrets among the same holders, each as :func:`split` does: the numbers of shares, whole ones
    (holders, secrets, 16).
    """
    coefficients = np.empty((len(secrets), threshold, WORDS))  # x^0 first
    coefficients[:, 0] = np.frombuffer(b"".join(secrets), ">u2").reshape(len(secrets), WORDS)
    drawn = uniform(len(secrets) * (threshold - 1) * WORDS, random)
    coefficients[:, 1:] = drawn.reshape(len(secrets), threshold - 1, WORDS)
    return evaluate(coefficients, holders).transpose(1, 0, 2)


def uniform(count: int, random: RandomBytes) -> NDArray[np.float64]:
    """Draw elements of the field, each exactly as likely as any other, as whole numbers from -65,535 to 65,535.

    They are the keystream of a seed of the system's generator. 2^16 is -1 in the field, so a 32-bit number is its lower
    half minus its upper half. Of 2^32 of them one is drawn again, since 2^32 - 1 is 65,535 times the prime.
    """
    drawn = keystream(random(32), count)
    while (refused := drawn == _REFUSED).any():
        drawn[refused] = np.frombuffer(random(4 * int(refused.sum())), "<u4")
    halves = drawn.astype("<u4", copy=False).view("<u2").reshape(count, 2)
    numbers: NDArray[np.float64] = np.subtract(halves[:, 0], halves[:, 1], dtype=np.float64)
    return numbers


def evaluate(coefficients: NDArray[np.float64], holders: Sequence[int], prime: int = PRIME) -> NDArray[np.float64]:
    """Return the values (secrets, holders, words) of polynomials (secrets, threshold, words), x^0 first, at each
    holder's point.

    Matrix products in float64 are exact: they add fewer than 2^19 products of less than 2^33. Each is of one secret:
    small enough that BLAS starts no threads, which would wait for one another longer than they compute.
    """
    powers = np.stack([_powers(holder, coefficients.shape[1], prime) for holder in holders])
    values: NDArray[np.float64] = powers @ coefficients
    # The half keeps a multiple of the prime clear of rounding: a quotient is off by less than 2^-17.
    quotient = values + 0.5
    quotient *= 1 / prime
    np.floor(quotient, out=quotient)
    quotient *= prime
    values -= quotient
    return values


def write_shares(numbers: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return shares (..., 34) in bytes from their numbers (..., 16)."""
    written = np.empty((*numbers.shape[:-1], SHARE_BYTES), np.uint8)
    written[..., :_FLAGS] = np.packbits(numbers == PRIME - 1, axis=-1)  # the one element that 16 bits do not hold
    written[..., _FLAGS:] = np.ascontiguousarray(numbers).astype(np.uint32).astype(">u2").view(np.uint8)
    return written


def read_shares(shares: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the numbers (shares, 16) of shares (shares, 34), and which of these are elements of the field."""
    words = np.ascontiguousarray(shares[:, _FLAGS:]).view(">u2").astype(np.int64)
    last = np.unpackbits(shares[:, :_FLAGS], axis=1).astype(bool)
    whole = ~((words != 0) & last).any(axis=1)
    words[last] = PRIME - 1
    return words, whole


@lru_cache(maxsize=16_384)
def _powers(holder: int, threshold: int, prime: int) -> NDArray[np.float64]:
    powers = [1]
    for _ in range(threshold - 1):
        powers.append(powers[-1] * (holder + 1) % prime)
    return np.array(powers, np.float64)


def weights(holders: Sequence[int]) -> dict[int, int]:
    """Return Lagrange's weights at 0 for the shares of these holders, each named once."""
    if not holders:
        return {}
    points = np.array(holders, np.int64) + 1
    apart = (points - points[:, None]) % PRIME  # (one, other)
    np.fill_diagonal(apart, 1)
    above = np.broadcast_to(points, apart.shape).copy()
    np.fill_diagonal(above, 1)
    products = zip(holders, _product(above).tolist(), _product(apart).tolist(), strict=True)
    return {one: over * pow(under, -1, PRIME) % PRIME for one, over, under in products}


def _product(factors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Multiply the elements of each row."""
    while factors.shape[1] > 1:
        half = factors.shape[1] // 2
        pairs = factors[:, :half] * factors[:, half : 2 * half] % PRIME
        factors = np.concatenate([pairs, factors[:, 2 * half :]], axis=1)
    return factors[:, 0]


def combine(shares: Mapping[int, bytes], at_zero: Mapping[int, int]) -> bytes:
    """Return the secret from the shares of the holders for which ``at_zero`` has the weights.

    Raises:
        MessageError: a share is not a share, there is none, or together they are none of a 32-byte secret.
    """
    if not at_zero:
        raise MessageError("there is no share")
    if any(len(shares[holder]) != SHARE_BYTES for holder in at_zero):
        raise MessageError("a share is not elements of the field")
    written = np.frombuffer(b"".join(shares[holder] for holder in at_zero), np.uint8)
    numbers, whole = read_shares(written.reshape(len(at_zero), SHARE_BYTES))
    if not whole.all():
        raise MessageError("a share is not elements of the field")
    words = np.array(list(at_zero.values()), np.int64) @ numbers % PRIME
    if (words == PRIME - 1).any():
        raise MessageError("the shares do not belong together")
    return words.astype(">u2").tobytes()
