"""How well outlines agree, patient by patient, and the sums over patients that hospitals can add.

``Outlines`` are the values of each patient, which stay in the hospital (or in a simulation, where intervals are drawn
from them); ``OutlineSums`` are what leaves it. What each number means is in ``docs/segmentation.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics.bins import Bins, Floats, doubling_bins, even_bins
from wardround_common.metrics.shapes import GroupFigures

Counts = NDArray[np.int64]

UNIT = 2.0**-20  # Dice, mm, mL and losses are summed as whole multiples of it: sums do not depend on their order
LOSS_LIMIT = 2.0**16  # nats; a larger loss of one record is counted as this
COUNT_LIMIT = 2.0**40  # no federation has more records, patients or parts
SUM_LIMIT = 2.0**62

DICE_BINS = even_bins(256)
DISTANCE_BINS = doubling_bins(0.125, 512.0, 1024.0, each=16)
"""Millimetres: each bin from 0.125 mm on is 4.4 % wide."""
VOLUME_BINS = doubling_bins(2.0**-10, 2.0**12, 2.0**14, each=8)
"""Millilitres: each bin from a cubic millimetre on is 9 % wide."""


class Outcome(IntEnum):
    """What became of one structure in one patient."""

    FOUND = 0
    """The structure is there, and something was outlined."""
    MISSED = 1
    """The structure is there, and nothing was outlined: a Dice of 0, and no distance."""
    FALSE_ALARM = 2
    """The structure is not there, and something was outlined: neither Dice nor distance."""
    RIGHTLY_EMPTY = 3
    """The structure is not there, and nothing was outlined: neither Dice nor distance."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """What was measured of each patient's outlines: one row per patient, one column per structure.

    ``reference``, ``predicted`` and ``overlap`` int64 (patients, structures): voxels of the reference, of what the
    model outlined, and of both. ``voxel_ml`` float64 (patients,): the volume of a voxel, NaN where the spacing is not
    known. ``hausdorff_mm`` and ``surface_mm`` float64 (patients, structures): NaN unless both outlines have a voxel, in
    one volume, and the spacing is known. ``parts``, ``parts_found`` and ``false_parts`` int64 (patients, structures):
    connected parts of the reference, those of them that the model touched, and the model's that touch no reference.

    Raises:
        ModelError: the shapes do not fit one another, or numbers contradict one another.
    """

    reference: Counts
    predicted: Counts
    overlap: Counts
    voxel_ml: Floats
    hausdorff_mm: Floats
    surface_mm: Floats
    parts: Counts
    parts_found: Counts
    false_parts: Counts

    def __post_init__(self) -> None:
        shape = self.reference.shape
        if len(shape) != 2 or self.voxel_ml.shape != shape[:1]:
            raise ModelError(f"outlines of {shape} patients and structures have volumes {self.voxel_ml.shape}")
        for each in fields(self):
            if each.name != "voxel_ml" and getattr(self, each.name).shape != shape:
                raise ModelError(f"{each.name} is {getattr(self, each.name).shape} and not {shape}")
        if np.any(self.overlap > np.minimum(self.reference, self.predicted)) or np.any(self.parts_found > self.parts):
            raise ModelError("outlines overlap in more voxels or parts than there are")
        measured = ~np.isnan(self.hausdorff_mm)
        sure = (self.outcome == Outcome.FOUND) & ~np.isnan(self.voxel_ml)[:, None]
        if np.any(measured != ~np.isnan(self.surface_mm)) or np.any(measured & ~sure):
            raise ModelError("a distance was measured where there is none, or one of two is missing")

    @classmethod
    def none(cls, structures: int) -> Outlines:
        """Return the outlines of no patient."""
        whole, real = np.zeros((0, structures), np.int64), np.zeros((0, structures))
        return cls(whole, whole, whole, np.zeros(0), real, real, whole, whole, whole)

    @classmethod
    def together(cls, parts: Sequence[Outlines], structures: int) -> Outlines:
        """Put the patients of several groups one below the other."""
        all_of = [cls.none(structures), *parts]
        return cls(*(np.concatenate([getattr(one, each.name) for one in all_of]) for each in fields(cls)))

    @property
    def outcome(self) -> Counts:
        """The ``Outcome`` of each structure in each patient, int64 (patients, structures)."""
        there, drawn = self.reference > 0, self.predicted > 0
        return np.where(
            there,
            np.where(drawn, Outcome.FOUND, Outcome.MISSED),
            np.where(drawn, Outcome.FALSE_ALARM, Outcome.RIGHTLY_EMPTY),
        ).astype(np.int64)

    @property
    def dice(self) -> Floats:
        """Twice the overlap over the sum of both (patients, structures); NaN where the structure is not there.

        Dice, *Measures of the amount of ecologic association between species*, Ecology 26 (1945).
        """
        there = self.reference > 0
        total = self.reference + self.predicted
        dice: Floats = np.divide(2.0 * self.overlap, total, out=np.full(total.shape, np.nan), where=there)
        return dice

    @property
    def volume_error_ml(self) -> Floats:
        """Predicted less reference volume, mL (patients, structures); NaN where the spacing is not known."""
        return (self.predicted - self.reference) * self.voxel_ml[:, None]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Whether lengths and volumes could be measured (patients, structures).

        The spacing must be known, and where both outlines have a voxel, a distance between them.
        """
        found = self.outcome == Outcome.FOUND
        measured: NDArray[np.bool_] = ~np.isnan(self.voxel_ml)[:, None] & ~(found & np.isnan(self.hausdorff_mm))
        return measured


@dataclass(frozen=True, slots=True, eq=False)
class OutlineSums:
    """Sums over patients that give means, medians and rates, of no patient more than a bin; whole and 0 or more.

    Of each structure (first axis): ``outcomes`` int64 (structures, 4, 2), patients by ``Outcome``, without [0] and with
    [1] a measured distance or volume; ``dice``, ``hausdorff``, ``surface`` int64 (structures,) sums in units of 2^-20
    (of 1, mm, mm) with their histograms (structures, bins); ``larger``, ``smaller`` and ``alarm_volume`` sums of mL in
    units of 2^-20 by which outlines are too large, too small, and stand where nothing is; ``volume_bins`` the histogram
    of the absolute errors; ``parts`` int64 (structures, 3): connected parts of the reference, found ones, false ones.
    ``images`` and ``loss``: records, and their losses in units of 2^-20.

    Whom each sum is over:

    - Dice: patients with the structure; one who was missed counts with 0.
    - Distances: patients with the structure in whom something was outlined and could be measured.
    - Volume errors: patients with the structure who could be measured; ``alarm_volume``: patients without it.
    - Parts: all patients.

    Over few patients a histogram shows single ones: these sums are as confidential as a model update.
    """

    images: int
    loss: int
    outcomes: Counts
    dice: Counts
    hausdorff: Counts
    surface: Counts
    larger: Counts
    smaller: Counts
    alarm_volume: Counts
    parts: Counts
    dice_bins: Counts
    hausdorff_bins: Counts
    surface_bins: Counts
    volume_bins: Counts

    @classmethod
    def empty(cls, structures: int) -> OutlineSums:
        """Return the sums over no patient."""
        return cls(0, 0, *(np.zeros((structures, *shape), np.int64) for shape in _SHAPES.values()))

    @classmethod
    def of(cls, outlines: Outlines, losses: Floats) -> OutlineSums:
        """Sum up patients, and the losses (records,) in nats of their records.

        Raises:
            ModelError: a loss is not a number of 0 or more (the training diverged).
        """
        if losses.ndim != 1 or not np.all(losses >= 0):  # NaN fails too
            raise ModelError(
                "each record needs one loss of 0 or more", do="Training diverged? Lower the learning rate."
            )
        structures = outlines.reference.shape[1]
        sums = {name: np.zeros((structures, *shape), np.int64) for name, shape in _SHAPES.items()}
        outcome, dice, error = outlines.outcome, outlines.dice, outlines.volume_error_ml
        for row in range(structures):
            spaced = outlines.measured[:, row]
            both = outcome[:, row] * 2 + spaced
            sums["outcomes"][row] = np.bincount(both, minlength=2 * len(Outcome)).reshape(-1, 2)
            there = outcome[:, row] <= Outcome.MISSED
            _put(sums, "dice", row, dice[there, row], DICE_BINS)
            measured = spaced & (outcome[:, row] == Outcome.FOUND)
            _put(sums, "hausdorff", row, outlines.hausdorff_mm[measured, row], DISTANCE_BINS)
            _put(sums, "surface", row, outlines.surface_mm[measured, row], DISTANCE_BINS)
            off = np.clip(error[spaced & there, row], -VOLUME_BINS.most, VOLUME_BINS.most)
            sums["larger"][row], sums["smaller"][row] = _total(np.maximum(off, 0)), _total(np.maximum(-off, 0))
            sums["volume_bins"][row] = VOLUME_BINS.counts(np.abs(off))
            false = np.minimum(error[spaced & (outcome[:, row] == Outcome.FALSE_ALARM), row], VOLUME_BINS.most)
            sums["alarm_volume"][row] = _total(false)
            counted = (outlines.parts, outlines.parts_found, outlines.false_parts)
            sums["parts"][row] = [int(each[:, row].sum()) for each in counted]
        return cls(images=len(losses), loss=_total(np.minimum(losses, LOSS_LIMIT)), **sums)

    def __add__(self, other: OutlineSums) -> OutlineSums:
        """Add the sums over two groups of patients.

        Raises:
            MessageError: they are of models with different numbers of structures.
        """
        if self.structures != other.structures:
            raise MessageError("sums of models with different numbers of structures cannot be added")
        return OutlineSums(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(OutlineSums)))

    def to_vector(self) -> Counts:
        """Return the sums as int64 (outline_length(structures),): what travels in a message."""
        first = np.array([self.images, self.loss], np.int64)
        return np.concatenate([first, *(getattr(self, name).ravel() for name in _SHAPES)])

    @classmethod
    def from_vector(cls, vector: Counts | Floats, structures: int) -> OutlineSums:
        """Read the sums from a vector of whole numbers, int64 or float64.

        Raises:
            MessageError: wrong length or type, a number that is negative or not whole, or numbers that contradict one
                another.
        """
        length = outline_length(structures)
        if vector.shape != (length,):
            raise MessageError(f"sums for {structures} structures are {length} numbers, not {vector.shape}")
        if vector.dtype not in (np.int64, np.float64):
            raise MessageError(f"sums are int64 or float64, not {vector.dtype}")
        if not np.all((vector >= 0) & (vector <= SUM_LIMIT)) or (vector.dtype == np.float64 and np.any(vector % 1)):
            raise MessageError("sums are whole numbers of 0 or more")
        whole = vector.astype(np.int64)
        arrays, start = {}, 2
        for name, shape in _SHAPES.items():
            size = structures * int(np.prod(shape))
            arrays[name] = whole[start : start + size].reshape(structures, *shape)
            start += size
        sums = cls(images=int(whole[0]), loss=int(whole[1]), **arrays)
        sums._check()
        return sums

    def _check(self) -> None:
        """Check that some patients can have these sums.

        Raises:
            MessageError: none can.
        """
        for name in ("outcomes", "parts", *(f"{each}_bins" for each in _BINS)):
            if np.any(getattr(self, name) > COUNT_LIMIT):
                raise MessageError(f"the {name} count more than any federation has")
        if self.images > COUNT_LIMIT or self.loss > self.images * (LOSS_LIMIT / UNIT + 1):
            raise MessageError(f"{self.images} records cannot have a loss of {self.loss * UNIT:.6g}")
        patients = self.outcomes.sum(axis=(1, 2))
        if np.any(patients != patients[0]) or patients[0] > self.images:
            raise MessageError("the sums contradict one another: structures are counted in other patients")
        there = self.outcomes[:, : Outcome.MISSED + 1]  # (structures, 2, 2)
        found, missed = self.outcomes[:, Outcome.FOUND], self.outcomes[:, Outcome.MISSED]
        alarms = self.outcomes[:, Outcome.FALSE_ALARM]
        expected = {
            "dice": there.sum(axis=(1, 2)),
            "hausdorff": found[:, 1],
            "surface": found[:, 1],
            "volume": there[:, :, 1].sum(axis=1),
        }
        sums = {"dice": self.dice, "hausdorff": self.hausdorff, "surface": self.surface}
        sums["volume"] = self.larger + self.smaller
        for name, bins in _BINS.items():
            counts = getattr(self, f"{name}_bins")
            if np.any(counts.sum(axis=1) != expected[name]):
                raise MessageError(f"the sums contradict one another: the histogram of {name} counts other patients")
            for row in range(self.structures):
                low, high = bins.bounds(counts[row])
                slack = (1 + int(expected[name][row])) * UNIT + 1e-9 * high
                if not low - slack <= sums[name][row] * UNIT <= high + slack:
                    raise MessageError(f"the sums contradict one another: the sum of {name} is not in its histogram")
        parts, parts_found, false_parts = self.parts.T
        if (
            np.any(self.dice_bins[:, 0] < missed.sum(axis=1))
            or np.any(self.alarm_volume * UNIT > (VOLUME_BINS.most + UNIT) * alarms[:, 1])
            or np.any(parts < expected["dice"])
            or np.any(parts_found > parts)
            or np.any(false_parts < alarms.sum(axis=1))
        ):
            raise MessageError("the sums contradict one another: parts or volumes of outlines that are not there")

    @property
    def structures(self) -> int:
        """How many structures were outlined."""
        return len(self.outcomes)

    @property
    def records(self) -> int:
        """How many records (slices or volumes) were summed."""
        return self.images

    @property
    def patients(self) -> int:
        """How many patients were summed."""
        return int(self.outcomes[0].sum())

    def mean_loss(self) -> float | None:
        """Return the mean loss of a record in nats; None over no record."""
        return self.loss * UNIT / self.images if self.images else None

    def count(self, outcome: Outcome, structure: int) -> int:
        """Return in how many patients a structure had this outcome."""
        return int(self.outcomes[structure, outcome].sum())

    def mean_dice(self, structure: int | None = None) -> float | None:
        """Return the mean Dice of a patient who has the structure, 0 for one who was missed; None over nobody.

        Without ``structure``: the mean over the structures that some patient has. So for every method below.
        """
        return self._each(structure, lambda row: _over(self.dice[row] * UNIT, self.dice_bins[row].sum()))

    def dice_quantile(self, fraction: float, structure: int | None = None) -> float | None:
        """Return the Dice that this fraction of the patients with the structure do not exceed, to 1/512."""
        return self._each(structure, lambda row: DICE_BINS.quantile(self.dice_bins[row], fraction))

    def dice_spread(self, structure: int | None = None) -> float | None:
        """Return the distance between the quartiles of the patients' Dice, to 1/256."""

        def spread(row: int) -> float | None:
            low, high = (DICE_BINS.quantile(self.dice_bins[row], each) for each in (0.25, 0.75))
            return None if low is None or high is None else high - low

        return self._each(structure, spread)

    def mean_hausdorff(self, structure: int | None = None) -> float | None:
        """Return the mean 95 % Hausdorff distance in mm of a patient in whom it can be measured."""
        return self._each(structure, lambda row: _over(self.hausdorff[row] * UNIT, self.hausdorff_bins[row].sum()))

    def hausdorff_quantile(self, fraction: float, structure: int | None = None) -> float | None:
        """Return the 95 % Hausdorff distance in mm that this fraction of those patients do not exceed, to 2.2 %."""
        return self._each(structure, lambda row: DISTANCE_BINS.quantile(self.hausdorff_bins[row], fraction))

    def mean_surface_distance(self, structure: int | None = None) -> float | None:
        """Return the mean surface distance in mm of a patient in whom it can be measured."""
        return self._each(structure, lambda row: _over(self.surface[row] * UNIT, self.surface_bins[row].sum()))

    def volume_bias(self, structure: int | None = None) -> float | None:
        """Return by how many mL a patient's outline is too large on average, negative where it is too small."""

        def bias(row: int) -> float | None:
            return _over((int(self.larger[row]) - int(self.smaller[row])) * UNIT, self.volume_bins[row].sum())

        return self._each(structure, bias)

    def volume_error(self, structure: int | None = None) -> float | None:
        """Return by how many mL a patient's outline is too large or too small on average."""

        def error(row: int) -> float | None:
            return _over((int(self.larger[row]) + int(self.smaller[row])) * UNIT, self.volume_bins[row].sum())

        return self._each(structure, error)

    def part_sensitivity(self, structure: int | None = None) -> float | None:
        """Return which fraction of the connected parts of the reference the model touched."""
        return self._each(structure, lambda row: _over(self.parts[row, 1], self.parts[row, 0]))

    def false_parts(self, structure: int | None = None) -> float | None:
        """Return how many parts that touch no reference the model outlined in a patient, on average."""
        return self._each(structure, lambda row: _over(self.parts[row, 2], self.patients))

    def missed(self, structure: int | None = None) -> float | None:
        """Return in which fraction of the patients with the structure nothing was outlined."""
        return self._each(structure, lambda row: _over(self.count(Outcome.MISSED, row), self.dice_bins[row].sum()))

    def false_alarms(self, structure: int | None = None) -> float | None:
        """Return in which fraction of the patients without the structure something was outlined."""

        def rate(row: int) -> float | None:
            alarms = self.count(Outcome.FALSE_ALARM, row)
            return _over(alarms, alarms + self.count(Outcome.RIGHTLY_EMPTY, row))

        return self._each(structure, rate)

    def by_structure(self) -> tuple[GroupFigures, ...]:
        """Return the figures of each structure."""
        return tuple(
            GroupFigures(
                records=int(self.dice_bins[row].sum()),
                rest=None,
                decided=self.count(Outcome.FOUND, row) + self.count(Outcome.FALSE_ALARM, row),
                found=self.count(Outcome.FOUND, row),
                figures={
                    "dice": self.mean_dice(row),
                    "hausdorff": self.mean_hausdorff(row),
                    "volume_error": self.volume_error(row),
                    "missed": self.missed(row),
                },
            )
            for row in range(self.structures)
        )

    def unmeasured(self, structure: int | None = None) -> float | None:
        """Return in which fraction of the patients in whom it was outlined no distance could be measured."""

        def fraction(row: int) -> float | None:
            without, measured = self.outcomes[row, Outcome.FOUND].tolist()
            return _over(without, without + measured)

        return self._each(structure, fraction)

    def _each(self, structure: int | None, value: Callable[[int], float | None]) -> float | None:
        if structure is not None:
            return value(structure)
        defined = [found for row in range(self.structures) if (found := value(row)) is not None]
        return sum(defined) / len(defined) if defined else None


def outline_length(structures: int) -> int:
    """Say how many numbers the sums for this many structures are."""
    return 2 + structures * sum(int(np.prod(shape)) for shape in _SHAPES.values())


_BINS: dict[str, Bins] = {
    "dice": DICE_BINS,
    "hausdorff": DISTANCE_BINS,
    "surface": DISTANCE_BINS,
    "volume": VOLUME_BINS,
}
_SHAPES: dict[str, tuple[int, ...]] = {
    "outcomes": (len(Outcome), 2),
    "dice": (),
    "hausdorff": (),
    "surface": (),
    "larger": (),
    "smaller": (),
    "alarm_volume": (),
    "parts": (3,),
    **{f"{name}_bins": (bins.count,) for name, bins in _BINS.items()},
}
"""The arrays in the order of the vector, without their first axis, which is the structure."""


def _put(sums: dict[str, Counts], name: str, row: int, values: Floats, bins: Bins) -> None:
    most = np.minimum(values, bins.most)
    sums[name][row], sums[f"{name}_bins"][row] = _total(most), bins.counts(most)


def _total(values: Floats) -> int:
    return int(np.rint(values / UNIT).astype(np.int64).sum())


def _over(total: float, count: int) -> float | None:
    return float(total / count) if count else None
