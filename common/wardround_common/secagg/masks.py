"""Masks: the keystream of a 32-byte seed, added to a vector of unsigned integers in place (section 4)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 18
"""Of keystream for one nonce. It is part of the protocol, and small enough to stay in a core's own cache."""
THREADS = min(4, os.cpu_count() or 1)
BLOCKS_A_THREAD = 4
"""At least: a thread for less costs about what it saves, and a simulation's other workers have use for the core."""
_ZEROS = memoryview(bytes(BLOCK_BYTES))
_TAG_BYTES = 16


def add_masks(vector: NDArray[Any], added: Sequence[bytes], taken: Sequence[bytes], segment: int) -> None:
    """Add to ``vector`` (length,) unsigned, modulo its type's range, the masks of some seeds; take away others.

    The mask of a seed is AES-256-GCM's keystream under it, block by block, as little-endian integers; the nonce is the
    segment in 4 bytes and the block's number in 8. **A seed may mask one vector only**: two vectors under one mask give
    away their difference.
    """
    if not len(vector):  # a sum of scores has no update
        return
    steps = [(np.add, AESGCM(seed)) for seed in added] + [(np.subtract, AESGCM(seed)) for seed in taken]
    a_block = BLOCK_BYTES // vector.itemsize
    blocks = -(-len(vector) // a_block)

    def mask(numbers: range) -> None:
        most = min(a_block, len(vector))
        buffer = bytearray(most * vector.itemsize + _TAG_BYTES)  # the tag authenticates zeros, and nobody needs it
        keystream = np.frombuffer(buffer, vector.dtype.newbyteorder("<"), most)
        for number in numbers:
            part = vector[number * a_block : (number + 1) * a_block]
            nonce = segment.to_bytes(4, "big") + number.to_bytes(8, "big")
            into = memoryview(buffer)[: part.nbytes + _TAG_BYTES]
            for step, stream in steps:
                stream.encrypt_into(nonce, _ZEROS[: part.nbytes], None, into)
                step(part, keystream[: len(part)], out=part)

    threads = min(THREADS, blocks // BLOCKS_A_THREAD)
    if threads < 2:
        mask(range(blocks))
        return
    with ThreadPoolExecutor(threads) as pool:  # OpenSSL and NumPy work without the interpreter's lock
        list(pool.map(mask, [range(start, blocks, threads) for start in range(threads)]))


def keystream(seed: bytes, numbers: int) -> NDArray[np.uint32]:
    """Return the first 32-bit numbers of a seed's keystream: what its mask of the update would be."""
    stream = np.zeros(numbers, "<u4")
    add_masks(stream, [seed], [], 0)
    return stream
