"""Outlines as counts that get noise: of each structure five blocks, in each of which a patient is one.

By Dice, or what became of the structure instead; by 95 % Hausdorff distance; by mean surface distance; by how far the
volume is off; and by connected parts, in eighths of a patient.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.bins import Bins
from wardround_common.metrics.noised import possible
from wardround_common.metrics.outlines import DICE_BINS, DISTANCE_BINS, UNIT, VOLUME_BINS, Outcome, OutlineSums
from wardround_common.metrics.ranking import Floats

BLOCKS = 5
"""In how many blocks a patient is counted for each structure."""
MOST_PARTS = 4
"""A patient's connected parts of the reference count as this many at most, found ones among them in proportion; so do
those outlined where nothing is."""
EFFECT = (
    "Dice is mostly a little too low and a distance too high, volume errors move to either side, and the loss is what "
    "Dice is short of 1"
)
"""What noise does to figures."""
_DICE = np.array([0, 4, 8, 12, 16, 18, 20, 22, 24, 25, 26, 27, 28, 29, 30, 31, 32]) / 32
_DISTANCES = np.concatenate([[0.0, 0.5], 2.0 ** (np.arange(11) / 2), [64.0, DISTANCE_BINS.most]])
_VOLUMES = np.concatenate([[0.0, 2.0**-4], 2.0 ** np.arange(-2.0, 8.0), [VOLUME_BINS.most]])
DICE_LEVELS, DISTANCE_LEVELS, VOLUME_LEVELS = len(_DICE) - 1, len(_DISTANCES) - 1, len(_VOLUMES) - 1
_SIZES = (DICE_LEVELS + len(Outcome) - 1, DISTANCE_LEVELS + 1, DISTANCE_LEVELS + 1, 2 * VOLUME_LEVELS + 1, 4)
_CUTS = np.cumsum(_SIZES)[:-1]
_EACH = 2 * MOST_PARTS  # a patient's parts are told in this fraction


def cells_of_outlines(structures: int) -> int:
    """Return how many cells there are: of each structure, block after block."""
    return structures * sum(_SIZES)


def told_of_outlines(sums: OutlineSums) -> Floats:
    """Return the counts (cells,) of some patients.

    Of one patient they are what was measured. Of several, too large and too small outlines are told alike in all levels
    of the volume error, and a patient's parts count as many as the others'.
    """
    return np.concatenate([_told(sums, row) for row in range(sums.structures)])


def _told(sums: OutlineSums, row: int) -> Floats:
    _, missed, alarms, empty = (sums.count(one, row) for one in Outcome)
    dice = _in_levels(sums.dice_bins[row], DICE_BINS, _DICE)
    dice[0] -= missed
    far, apart = (_in_levels(one[row], DISTANCE_BINS, _DISTANCES) for one in (sums.hausdorff_bins, sums.surface_bins))
    off = _in_levels(sums.volume_bins[row], VOLUME_BINS, _VOLUMES)
    larger, smaller = int(sums.larger[row]), int(sums.smaller[row])
    up = off * (larger / (larger + smaller) if larger + smaller else 1.0)
    parts, touched, false = (int(one) for one in sums.parts[row])
    most = MOST_PARTS * sums.patients
    share, false = min(1.0, most / max(1, parts)), min(false, most)
    eighths = [touched * share, (parts - touched) * share, false]
    return np.concatenate(
        [
            [*dice, missed, alarms, empty],
            [*far, sums.patients - far.sum()],
            [*apart, sums.patients - apart.sum()],
            [*up, *(off - up), sums.patients - off.sum()],
            [one / _EACH for one in (*eighths, _EACH * sums.patients - sum(eighths))],
        ]
    )


def settled_outlines(counts: Floats, structures: int) -> OutlineSums:
    """Return the possible sums that are nearest to noised counts (cells,), block after block.

    How many patients there are is the mean of what all blocks say. Figures are those of the middles of levels, and the
    loss of a patient is one less its mean Dice. What stands outlined where nothing is has no volume.
    """
    noised = counts.reshape(structures, -1)
    patients = max(0, round(float(counts.sum()) / (structures * BLOCKS)))
    sums = OutlineSums.empty(structures)
    for row in range(structures):
        _settle(sums, row, np.split(noised[row], _CUTS), patients)
    loss = round(patients * (1.0 - (sums.mean_dice() or 0.0)) / UNIT)
    return replace(sums, images=patients, loss=loss)


def _settle(sums: OutlineSums, row: int, blocks: list[Floats], patients: int) -> None:
    """Write the sums of one structure."""
    agreement, *distances, volumes, parts = blocks
    *dice, missed, alarms, empty = possible(agreement, patients).tolist()
    found = sum(dice)
    levels = np.array(dice, np.int64)
    sums.dice_bins[row], sums.dice[row] = _from_levels(levels, DICE_BINS, _DICE)
    sums.dice_bins[row, 0] += missed
    measured = int(np.clip(round(float(np.mean([one[:-1].sum() for one in distances]))), 0, found))
    of_distances = [_from_levels(possible(one[:-1], measured), DISTANCE_BINS, _DISTANCES) for one in distances]
    (sums.hausdorff_bins[row], sums.hausdorff[row]), (sums.surface_bins[row], sums.surface[row]) = of_distances
    spaced = int(np.clip(round(float(volumes[:-1].sum())), measured, measured + missed))
    up, down = possible(volumes[:-1], spaced).reshape(2, -1)
    (larger, sums.larger[row]), (smaller, sums.smaller[row]) = (
        _from_levels(one, VOLUME_BINS, _VOLUMES) for one in (up, down)
    )
    sums.volume_bins[row] = larger + smaller
    unmeasured = missed - (spaced - measured)
    sums.outcomes[row] = [[found - measured, measured], [unmeasured, missed - unmeasured], [alarms, 0], [empty, 0]]
    touched, others, false, _ = possible(parts * _EACH, patients * _EACH).tolist() if patients else (0, 0, 0, 0)
    there = found + missed
    total = max(touched + others, there) if there else 0
    sums.parts[row] = [total, min(touched, total), max(false, alarms)]


def _in_levels(counts: NDArray[np.int64], bins: Bins, edges: Floats) -> Floats:
    """Add up the bins (bins,) of each level, of which these are the edges: (levels,)."""
    return np.add.reduceat(counts, np.searchsorted(bins.edges, edges[:-1])).astype(np.float64)


def _from_levels(counts: NDArray[np.int64], bins: Bins, edges: Floats) -> tuple[NDArray[np.int64], int]:
    """Count what lies in a level (levels,) at its middle: the bins (bins,), and their sum.

    Distances and volumes lie towards the lower end of levels that grow: theirs is the geometric mean of its ends, and
    of the last level, which has no end, a half more than where it begins.
    """
    middles = (edges[:-1] + edges[1:]) / 2
    if bins is not DICE_BINS:
        middles[1:] = np.sqrt(edges[1:-1] * edges[2:])
        middles[-1] = 1.5 * edges[-2]
    counted = np.zeros(bins.count, np.int64)
    counted[np.searchsorted(bins.edges, middles, side="right") - 1] = counts
    return counted, round(float(counts @ middles) / UNIT)
