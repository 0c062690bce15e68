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
from bisect import bisect_left
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
Places = NDArray[np.int64]
Eligible = Callable[[Places, Places], NDArray[np.bool_]]
_BLOCK = 512  # images that are compared with as many at a time: what that takes stays in a core's own cache
_PART = 1 << 13  # rows and pairs that are widened at a time: 16 MiB
_LEADING = 48  # directions of the first comparison: one in five of all, and noise passes it once in a million pairs
_SAMPLE = 4096  # images that the directions are chosen by
_FEW = 1024  # images whose cells are compared all at once: up to that many, choosing directions takes longer
_MANY = 16  # of a block's pairs one in this many is compared as a whole block sooner than one by one
_FINEST = 16 * GRID
_LEAST = np.float32(NEAR_PERCENT / 100 - 1e-3)  # far more than what float32 may lose of a correlation
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


def near_pairs(instances: Sequence[Instance], groups: Sequence[Hashable], first_new: int = 0) -> list[tuple[int, int]]:
    """Find the places of the images in different groups that are the same or nearly so, in the order given.

    ``groups`` says for each image which patient or hospital it belongs to. Within one series neighbours resemble each
    other without being copies: there only images with the very same pixels count. Images of one value resemble each
    other too, and are left out. All pairs are compared, in blocks, except those of the images before ``first_new``,
    which were compared before.
    """
    kept = [place for place, instance in enumerate(instances) if instance.likeness]
    if not kept:
        return []
    joined = b"".join(base64.b64decode(instances[place].likeness) for place in kept)
    numbers = np.frombuffer(joined, np.int8).reshape(len(kept), CELLS)
    group = _numbered([groups[place] for place in kept])
    series = _numbered([series_of(instances[place]) for place in kept])
    pixels = _numbered([instances[place].pixel_digest for place in kept])

    def eligible(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        beside = (series[left] == series[right]) & (pixels[left] != pixels[right])
        allowed: NDArray[np.bool_] = (group[left] != group[right]) & ~beside
        return allowed

    found: list[tuple[int, int]] = []
    for left, right in _correlated(numbers, eligible, bisect_left(kept, first_new)):
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


def series_of(instance: Instance) -> Hashable:
    """Name the series of an image; pictures have none, and those of one patient in one folder are taken for one."""
    return instance.series_uid or (instance.patient, str(PurePosixPath(instance.file).parent))


def _numbered(names: Sequence[Hashable]) -> NDArray[np.int64]:
    number_of: dict[Hashable, int] = {}
    return np.array([number_of.setdefault(name, len(number_of)) for name in names], np.int64)


def _correlated(numbers: NDArray[np.int8], eligible: Eligible, first_new: int) -> Iterator[tuple[Places, Places]]:
    """Find the eligible pairs of rows of ``numbers`` (images, cells) that correlate, part by part, in order.

    Of each pair the later row is ``first_new`` or above: those below were compared before. Most pairs are ruled out by
    their first few coordinates, in the directions in which the images differ most: what is left of two unit vectors
    adds at most the product of its lengths (Cauchy and Schwarz). So no pair is lost, whatever the directions are.
    """
    squares = np.einsum("ij,ij->i", numbers, numbers, dtype=np.int64)  # (images,)
    directions = _directions(numbers, squares)
    leading = np.empty((len(numbers), directions.shape[1]), np.float32)  # what is wider is made of few rows at a time
    rest = np.empty(len(numbers), np.float32)  # (images,) the length of what the directions leave out
    for start in range(0, len(numbers), _PART):
        some = slice(start, start + _PART)
        first = numbers[some] / np.sqrt(squares[some])[:, None] @ directions
        leading[some], rest[some] = first, np.sqrt(np.maximum(0, 1 - np.square(first).sum(axis=1)))

    rooms = np.empty((2, _BLOCK * _BLOCK), np.float32)  # made once: to ask for it costs more than what is done in it

    def compared(start: int, count: int) -> tuple[Places, Places] | None:
        """Return the pairs of some rows with all later ones; None if they are too many to be held."""
        rows, found, held = slice(start, start + count), [], 0
        for begin in range(max(start, first_new), len(numbers), _BLOCK):
            columns = slice(begin, begin + _BLOCK)
            form = (len(rest[rows]), len(rest[columns]))
            size = form[0] * form[1]
            most, left_out = (one[:size].reshape(form) for one in rooms)
            np.abs(np.matmul(leading[rows], leading[columns].T, out=most), out=most)
            most += np.multiply(rest[rows, None], rest[columns], out=left_out)
            if most.max() < _LEAST:
                continue
            if np.count_nonzero(most >= _LEAST) > size // _MANY:
                here, there = (_unit(numbers, squares, some) for some in (rows, columns))
                np.abs(np.matmul(here, there.T, out=most), out=most)
                if most.max() < _LEAST:
                    continue
            lefts, rights = np.nonzero(most >= _LEAST)
            lefts, rights = lefts + start, rights + begin
            later = rights > lefts
            lefts, rights = lefts[later], rights[later]
            wanted = eligible(lefts, rights)
            found.append(_near(numbers, squares, lefts[wanted], rights[wanted]))
            held += len(found[-1][0])
            if held > MOST_PAIRS and count > 1:
                return None
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        lefts, rights = (np.concatenate(each) for each in zip(*found, strict=True))
        order = np.lexsort((rights, lefts))
        return lefts[order], rights[order]

    start, count = 0, _BLOCK
    while start < len(numbers):
        if (pairs := compared(start, count)) is None:
            count = max(1, count // 8)
            continue
        yield pairs
        start += count


def _near(numbers: NDArray[np.int8], squares: Places, lefts: Places, rights: Places) -> tuple[Places, Places]:
    """Return the pairs that are near-copies.

    Decided in integers: whether two images are copies must not depend on how a processor adds.
    """
    kept = [np.empty(0, bool)]
    for start in range(0, len(lefts), _PART):
        left, right = lefts[start : start + _PART], rights[start : start + _PART]
        products = np.einsum("ij,ij->i", numbers[left], numbers[right], dtype=np.int64)
        kept.append(10_000 * products**2 >= NEAR_PERCENT**2 * squares[left] * squares[right])
    near = np.concatenate(kept)
    return lefts[near], rights[near]


def _unit(numbers: NDArray[np.int8], squares: Places, some: slice) -> NDArray[np.float32]:
    """Return some rows (rows, cells) with length one."""
    return numbers[some] * (1 / np.sqrt(squares[some])).astype(np.float32)[:, None]


def _directions(numbers: NDArray[np.int8], squares: Places) -> NDArray[np.float64]:
    """Return the directions (cells, few), at right angles, in which a sample of the images differ most.

    For few images those are all cells: their eigenvectors take longer than the comparison that they would spare.
    """
    if len(numbers) <= _FEW:
        return np.eye(CELLS)
    sample = np.linspace(0, len(numbers) - 1, min(len(numbers), _SAMPLE)).astype(np.int64)
    units = numbers[sample] / np.sqrt(squares[sample])[:, None]
    _, directions = np.linalg.eigh(units.T @ units)
    return np.ascontiguousarray(directions[:, -_LEADING:])


@lru_cache
def _cuts(length: int, parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut a length into parts: where each begins and how long it is; a length shorter than that repeats some."""
    starts = np.minimum(np.arange(parts) * length // parts, length - 1)
    return starts, np.maximum(1, np.diff(starts, append=length))
