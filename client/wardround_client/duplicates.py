"""Images that are the same, or nearly: a copy on both sides of a split makes a test worthless.

The likeness of an image is a difference hash: the image is averaged into a small grid, and each bit says whether a
cell is clearly darker than its right neighbour. It survives another scale of grey values, recompression and mostly
another size; it does not survive cropping, turning, mirroring or inversion.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_client.instance import Instance

GRID = 16
LIKENESS_BITS = GRID * GRID
NEAR_BITS = 6
"""Images whose likenesses differ in so many bits or fewer count as near-duplicates. Measured on chest X-rays and brain
MRI: copies in JPEG quality 80 differ in 1 to 3 bits (median), copies at half the size in 6 to 8, pairs of different
patients in more than 6, but for a few slices that show next to nothing."""
STEP = 1 / 64
"""Of the range of the cells: smaller steps between neighbours do not count."""
MOST_PAIRS = 100_000
"""The search stops there: a folder with more needs no longer list."""
_BLOCK = 512
_FINEST = 16 * GRID


def likeness(stored: NDArray[Any]) -> int:
    """Hash a decoded array ((frames,) rows, columns (, 3)) into 256 bits; an image of one value gives 0.

    Of several frames the middle one is taken, of colours the green one.
    """
    plane = stored[..., 1] if stored.ndim >= 3 and stored.shape[-1] == 3 else stored
    if plane.ndim == 3:
        plane = plane[len(plane) // 2]
    rows, columns = plane.shape
    small = plane[:: max(1, rows // _FINEST), :: max(1, columns // _FINEST)]
    row_cuts, heights = _cuts(small.shape[0], GRID)
    column_cuts, widths = _cuts(small.shape[1], GRID + 1)
    down = np.add.reduceat(small, row_cuts, axis=0, dtype=np.float64)  # exact for integers
    cells = np.add.reduceat(down, column_cuts, axis=1) / (heights[:, None] * widths)
    # Steps that do not matter are not counted, or the noise in a black background would decide half of the bits.
    darker = np.diff(cells, axis=1) > STEP * (cells.max() - cells.min())
    return int.from_bytes(np.packbits(darker).tobytes(), "big")


def near_duplicates(instances: Sequence[Instance], groups: Sequence[Hashable]) -> list[tuple[Instance, Instance]]:
    """Find the pairs of images in different groups that are the same or nearly so, in the order given.

    ``groups`` says for each image which side of a split (or which patient) it belongs to. Images of one value
    resemble each other without being copies and are left out. All pairs are compared, in blocks: 10,000 images take
    less than a second.
    """
    number_of: dict[Hashable, int] = {}
    number = np.array([number_of.setdefault(group, len(number_of)) for group in groups], np.int64)
    kept = [place for place, instance in enumerate(instances) if instance.likeness]
    words = np.frombuffer(
        b"".join(instances[place].likeness.to_bytes(LIKENESS_BITS // 8, "big") for place in kept), np.uint64
    ).reshape(len(kept), LIKENESS_BITS // 64)
    return [
        (instances[kept[first]], instances[kept[second]])
        for first, second in _near_pairs(words, number[kept] if kept else number[:0])
    ]


def _near_pairs(words: NDArray[np.uint64], groups: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    found = 0
    for start in range(0, len(words), _BLOCK):
        block, rest = words[start : start + _BLOCK], words[start:]
        # Most pairs differ in the first word already, so the others are compared for those that are left only.
        first = np.bitwise_count(block[:, None, 0] ^ rest[None, :, 0])  # (block, rest)
        left, right = np.nonzero((first <= NEAR_BITS) & (groups[start : start + _BLOCK, None] != groups[None, start:]))
        ahead = right > left
        left, right = left[ahead], right[ahead]
        near = np.bitwise_count(block[left] ^ rest[right]).sum(axis=1) <= NEAR_BITS
        for one, other in zip(left[near].tolist(), right[near].tolist(), strict=True):
            yield start + one, start + other
            found += 1
            if found >= MOST_PAIRS:
                return


@lru_cache
def _cuts(length: int, parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut a length into parts: where each begins and how long it is; a length shorter than that repeats some."""
    starts = np.minimum(np.arange(parts) * length // parts, length - 1)
    return starts, np.maximum(1, np.diff(starts, append=length))
