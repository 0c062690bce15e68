"""Masks: the keystream of a 32-byte seed, added to a vector of unsigned integers in place (section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 17  # of keystream at a time: it stays in a core's own cache
_ZEROS = memoryview(bytes(BLOCK_BYTES))


def add_masks(vector: NDArray[Any], added: Sequence[bytes], taken: Sequence[bytes], segment: int) -> None:
    """Add to ``vector`` (length,) unsigned, modulo its type's range, the masks of some seeds; take away others.

    The mask of a seed is AES-256-CTR's keystream under it, as little-endian integers; the counter of segment ``k``
    starts at k·2^96. **A seed may mask one vector only**: two vectors under one mask give away their difference.
    """
    start_at = segment.to_bytes(4, "big") + bytes(12)
    steps = [(np.add, seed) for seed in added] + [(np.subtract, seed) for seed in taken]
    streams = [(step, Cipher(algorithms.AES256(seed), modes.CTR(start_at)).encryptor()) for step, seed in steps]
    buffer = bytearray(BLOCK_BYTES + 16)
    keystream = np.frombuffer(buffer, vector.dtype.newbyteorder("<"), BLOCK_BYTES // vector.itemsize)
    for start in range(0, len(vector), len(keystream)):
        part = vector[start : start + len(keystream)]
        for step, stream in streams:
            stream.update_into(_ZEROS[: part.nbytes], buffer)
            step(part, keystream[: len(part)], out=part)
