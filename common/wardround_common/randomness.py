"""Random numbers from a stream cipher: secret ones keyed by the operating system, reproducible ones by a seed.

Batches, splits, augmentation and the noise of differential privacy all draw from a :class:`Stream`. In a hospital its
key comes from the operating system; in a simulation from a seed, which makes a run repeatable and its noise worthless
as protection, so that constructor is called ``insecure_stream``.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

CHUNK_BYTES = 2**16
"""What is drawn at a time, so that it stays in the cache; the words do not depend on it."""


class Stream:
    """An endless stream of random numbers: ChaCha20's keystream (RFC 8439) under a 32-byte key.

    Children are independent streams named by labels, so that what one part draws never shifts what another gets:
    round 7 of a hospital is the same whether or not rounds 1 to 6 were drawn in this process.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a stream's key must have 32 bytes")
        self._key = key
        self._keystream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()

    def __repr__(self) -> str:
        return "Stream(…)"

    def child(self, *labels: str | int) -> Stream:
        """Return the stream named by ``labels``: the same labels give the same stream, from its beginning."""
        name = b"".join(len(part).to_bytes(4, "big") + part for part in (str(label).encode() for label in labels))
        return Stream(hmac.digest(self._key, b"wardround stream 1\n" + name, hashlib.sha256))

    def words(self, count: int) -> NDArray[np.uint64]:
        """Draw ``count`` 64-bit words."""
        drawn = np.empty(count, np.uint64)
        self.fill(drawn)
        return drawn

    def fill(self, words: NDArray[np.uint64]) -> None:
        """Draw as many 64-bit words as an array has that is contiguous, into it: no memory is asked for."""
        words.fill(0)
        drawn = words.reshape(-1).view(np.uint8).data
        for start in range(0, len(drawn), CHUNK_BYTES):  # ciphers work in place, and a chunk stays in the cache
            part = drawn[start : start + CHUNK_BYTES]
            self._keystream.update_into(part, part)
        if sys.byteorder == "big":
            words.byteswap(inplace=True)

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Draw ``count`` numbers from [0, 1), multiples of 2^-53."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, limit: int) -> int:
        """Draw one integer from 0 to ``limit`` - 1; the bias is below ``limit`` / 2^64."""
        return int(self.words(1)[0]) % limit

    def permutation(self, count: int) -> NDArray[np.int64]:
        """Draw an order of ``count`` things; a tie of two 64-bit words leaves those two in place."""
        return np.argsort(self.words(count), kind="stable").astype(np.int64)

    def permutations(self, counts: Sequence[int]) -> list[NDArray[np.int64]]:
        """Draw an order for each of several numbers of things: what :meth:`permutation` draws one after the other."""
        ends = np.cumsum([0, *counts])
        group = np.repeat(np.arange(len(counts)), counts)
        order = np.lexsort((self.words(int(ends[-1])), group)).astype(np.int64) - ends[group]
        return [order[start:end] for start, end in pairwise(ends.tolist())]


def insecure_stream(seed: int, *labels: str | int) -> Stream:
    """Return a stream that anybody with the seed can repeat: for splits and simulations, never for secrets."""
    return Stream(hashlib.sha256(f"wardround insecure seed {seed}".encode()).digest()).child(*labels)
