"""Images that are the same, or nearly: a copy on both sides of a split makes a test worthless.

The likeness of an image is what a small thumbnail of it shows beside its surroundings: the image is averaged into
16 × 16 cells, each cell is compared with the mean of the 3 × 3 cells around it, and differences beyond their root mean
square are cut off there, so that an edge that all images of a machine share (the sector of an ultrasound probe, a ruler
or a letter) does not outweigh the anatomy. Two images are near-copies if their likenesses correlate at 0.95 or more,
with either sign.

That survives another scale of grey values, inversion, noise, recompression and mostly another size; it does not survive
cropping, turning or mirroring. Why this measure, and what it finds: ``docs/adr/0021-near-copies.md``.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_client.intake.instance import Instance

GRID = 16
CELLS = GRID * GRID
LARGEST = 127
"""A cell of a likeness is an integer from minus this to this: it fits a byte."""
NEAR_PERCENT = 95
"""Images whose likenesses correlate at this many hundredths or more count as near-copies."""
MOST_PAIRS = 100_000
"""The search stops there: a folder with more needs no longer list."""
_BLOCK = 512
_MOST_COMPARED = 1 << 22  # pairs that are compared at a time: about 40 MiB, however many images there are
_PART = 1 << 13  # rows and pairs that are widened at a time: 16 MiB
_FINEST = 16 * GRID
_ROUNDING = 1e-3  # far more than what float32 may lose of a correlation
_STEPS = 2**20


def likeness(stored: NDArray[Any]) -> str:
    """Describe a decoded array ((frames,) rows, columns (, 3)) by 256 small numbers; "" for an image of one value.

    Of several frames the middle one is taken, of colours the green one.
    """
    plane = stored[..., 1] if stored.ndim >= 3 and stored.shape[-1] == 3 else stored
    if plane.ndim == 3:
        plane = plane[len(plane) // 2]
    rows, columns = plane.shape
    small = plane[:: max(1, rows // _FINEST), :: max(1, columns // _FINEST)]
    row_cuts, heights = _cuts(small.shape[0], GRID)
    column_cuts, widths = _cuts(small.shape[1], GRID)
    if small.dtype.kind == "f":
        small = _finite(small)
    with np.errstate(all="ignore"):  # of floats that are out of any range
        if small.dtype.kind in "iu" and small.shape[0] % GRID == 0:  # most images, in a third of the time
            down = small.reshape(GRID, -1, small.shape[1]).sum(axis=1, dtype=np.float64)
        else:
            down = np.add.reduceat(small, row_cuts, axis=0, dtype=np.float64)  # exact for integers, as above
        cells = np.add.reduceat(down, column_cuts, axis=1) / (heights[:, None] * widths)  # (GRID, GRID)
        low, high = float(cells.min()), float(cells.max())
        if not low < high < math.inf or low == -math.inf:
            return ""
        beside = _beside_surroundings((cells - low) / (high - low))
    # Integers, whose sum is exact whatever adds them: a split of patients depends on it.
    steps = np.rint(beside * _STEPS).ravel()
    spread = math.sqrt(float(steps @ steps) / CELLS)
    if not spread > 0:
        return ""
    numbers = np.rint(np.minimum(np.maximum(steps, -spread), spread) * (LARGEST / spread))
    return base64.b64encode(numbers.astype(np.int8).tobytes()).decode("ascii")


def _finite(small: NDArray[Any]) -> NDArray[Any]:
    """Put the smallest finite value where there is no number, as where the background of a map is."""
    good = np.isfinite(small)
    if good.all() or not good.any():
        return small
    return np.where(good, small, small[good].min())


def _beside_surroundings(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take from each cell the mean of the 3 × 3 cells around it; the border is repeated."""
    wide = cells[_BORDERED]
    down = wide[:-2] + wide[1:-1] + wide[2:]
    around: NDArray[np.float64] = down[:, :-2] + down[:, 1:-1] + down[:, 2:]
    return cells - around / 9


_BORDERED = np.ix_(*[np.clip(np.arange(-1, GRID + 1), 0, GRID - 1)] * 2)


def near_duplicates(instances: Sequence[Instance], groups: Sequence[Hashable]) -> list[tuple[Instance, Instance]]:
    """Find the pairs of images in different groups that are near-copies, in the order given: see :func:`near_pairs`."""
    return [(instances[one], instances[other]) for one, other in near_pairs(instances, groups)]


def near_pairs(instances: Sequence[Instance], groups: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Find the places of the images in different groups that are the same or nearly so, in the order given.

    ``groups`` says for each image which patient or hospital it belongs to. Within one series neighbours resemble each
    other without being copies: there only images with the very same pixels count. Images of one value resemble each
    other too, and are left out. All pairs are compared, in blocks: 10,000 images take less than a second.
    """
    kept = [place for place, instance in enumerate(instances) if instance.likeness]
    if not kept:
        return []
    joined = b"".join(base64.b64decode(instances[place].likeness) for place in kept)
    numbers = np.frombuffer(joined, np.int8).reshape(len(kept), CELLS)
    group = _numbered([groups[place] for place in kept])
    series = _numbered([_series(instances[place]) for place in kept])
    pixels = _numbered([instances[place].pixel_digest for place in kept])

    def eligible(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        beside = (series[left] == series[right]) & (pixels[left] != pixels[right])
        allowed: NDArray[np.bool_] = (group[left] != group[right]) & ~beside
        return allowed

    found: list[tuple[int, int]] = []
    for left, right in _correlated(numbers, eligible):
        found += [(kept[one], kept[other]) for one, other in zip(left.tolist(), right.tolist(), strict=True)]
        if len(found) >= MOST_PAIRS:
            return found[:MOST_PAIRS]
    return found


def joined_patients(instances: Sequence[Instance], pairs: Sequence[tuple[int, int]]) -> dict[str, str]:
    """Join patients who share near-copies: patient to the first, by name, of those that are joined with them.

    ``pairs`` are those of :func:`near_pairs` of these instances.

    A patient who shares none is joined with nobody. For dealing patients out only: two patients with one picture may
    be one person under two names, or a mistake, and nobody's account is merged for it.
    """
    first = {instance.patient: instance.patient for instance in instances}

    def find(name: str) -> str:
        while first[name] != name:
            first[name] = first[first[name]]
            name = first[name]
        return name

    for one, other in pairs:
        low, high = sorted((find(instances[one].patient), find(instances[other].patient)))
        first[high] = low
    return {name: find(name) for name in first}


def _series(instance: Instance) -> Hashable:
    """Name the series of an image; pictures have none, and those of one patient in one folder are taken for one."""
    return instance.series_uid or (instance.patient, str(PurePosixPath(instance.file).parent))


def _numbered(names: Sequence[Hashable]) -> NDArray[np.int64]:
    number_of: dict[Hashable, int] = {}
    return np.array([number_of.setdefault(name, len(number_of)) for name in names], np.int64)


def _correlated(
    numbers: NDArray[np.int8], eligible: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Find the eligible pairs of rows of ``numbers`` (images, cells) that correlate, part by part."""
    squares = np.einsum("ij,ij->i", numbers, numbers, dtype=np.int64)  # (images,)
    unit = np.empty(numbers.shape, np.float32)  # (images, cells): 1 kB an image, and what is wider is made of few
    for start in range(0, len(unit), _PART):
        some = slice(start, start + _PART)
        unit[some] = numbers[some] / np.sqrt(squares[some])[:, None]
    least = np.float32(NEAR_PERCENT / 100 - _ROUNDING)
    block = max(1, min(_BLOCK, _MOST_COMPARED // max(1, len(unit))))
    for start in range(0, len(unit), block):
        close = np.abs(unit[start : start + block] @ unit[start:].T) >= least  # (block, rest)
        lefts, rights = np.nonzero(np.triu(close, 1))
        lefts, rights = lefts + start, rights + start
        wanted = eligible(lefts, rights)
        lefts, rights = lefts[wanted], rights[wanted]
        for part in range(0, len(lefts), _PART):
            left, right = lefts[part : part + _PART], rights[part : part + _PART]
            # Decided in integers: whether two images are copies must not depend on how a processor adds.
            products = np.einsum("ij,ij->i", numbers[left], numbers[right], dtype=np.int64)
            near = 10_000 * products**2 >= NEAR_PERCENT**2 * squares[left] * squares[right]
            yield left[near], right[near]


@lru_cache
def _cuts(length: int, parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut a length into parts: where each begins and how long it is; a length shorter than that repeats some."""
    starts = np.minimum(np.arange(parts) * length // parts, length - 1)
    return starts, np.maximum(1, np.diff(starts, append=length))
