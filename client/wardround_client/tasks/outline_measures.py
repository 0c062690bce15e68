"""Measures a patient's outlines over whole volumes: overlap, distances in mm, volumes in mL, connected parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from wardround_common.errors import ModelError
from wardround_common.metrics.outlines import Outlines

PERCENTILE = 95.0
EVEN = 0.01
"""By how much of itself the distance between two slices may differ from the next one's."""
ML_OF_MM3 = 1e-3

Masks = NDArray[np.uint8]
Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One volume of a patient: what is there and what a model outlined.

    ``reference`` and ``predicted`` uint8 (slices, rows, columns): 0 is background, s is structure s. ``spacing_mm``:
    between slices, rows and columns; None if one of them is not known. One slice is measured in its plane.

    Raises:
        ModelError: the shapes differ, or a spacing is not a number above 0.
    """

    reference: Masks
    predicted: Masks
    spacing_mm: tuple[float, float, float] | None

    def __post_init__(self) -> None:
        if self.reference.ndim != 3 or self.reference.shape != self.predicted.shape:
            raise ModelError(f"outlines of {self.predicted.shape} voxels do not fit those of {self.reference.shape}")
        if self.spacing_mm is not None and not all(0 < each < np.inf for each in self.spacing_mm):
            raise ModelError(f"invalid spacing {self.spacing_mm} mm")


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where records lie: what turns slices into volumes, and voxels into millimetres.

    ``series`` int64 (records,): the same for slices of one volume, apart for two volumes of a patient. ``heights_mm``
    float64 (records,): of slices, along their common normal; NaN where not known. ``spacing_mm`` float64 (records, 3):
    between slices (for a single slice its thickness), rows and columns **in the form that the network sees**, NaN where
    not known.
    """

    series: Codes
    heights_mm: Floats
    spacing_mm: Floats

    @classmethod
    def unknown(cls, patients: Codes) -> Places:
        """Return places for records of which only the patient is known: one volume for each, in their order."""
        count = len(patients)
        return cls(patients, np.full(count, np.nan), np.full((count, 3), np.nan))

    def at(self, rows: Codes) -> Places:
        """Return the places of these records."""
        return Places(self.series[rows], self.heights_mm[rows], self.spacing_mm[rows])


def volumes_by_patient(
    predicted: Sequence[Masks] | Masks, reference: Sequence[Masks] | Masks, patients: Codes, places: Places
) -> Iterator[list[Volume]]:
    """Put records together as volumes: a list of them for each patient, in the order of the patients' codes.

    ``predicted`` and ``reference`` uint8 (rows, columns) of each slice, or (slices, rows, columns) of each volume.
    """
    whole = len(reference) > 0 and reference[0].ndim == 3
    for patient in np.unique(patients):
        of_patient = np.flatnonzero(patients == patient)
        if whole:
            yield [
                Volume(reference[row], predicted[row], _known(places.spacing_mm[row])) for row in of_patient.tolist()
            ]
            continue
        found = []
        for series in np.unique(places.series[of_patient]):
            rows = of_patient[places.series[of_patient] == series]
            rows = rows[np.argsort(places.heights_mm[rows], kind="stable")]
            there, drawn = (np.stack([each[row] for row in rows]) for each in (reference, predicted))
            found.append(Volume(there, drawn, _stack_spacing(places, rows)))
        yield found


def measure(volumes: Sequence[Volume], structures: int) -> Outlines:
    """Measure one patient: one row of ``Outlines``.

    - Voxels and parts are counted over all volumes. Parts are connected over faces, edges and corners. A part of the
      reference is found if the model outlined one of its voxels; a part of the model's is false if it has no voxel of
      the reference.
    - The surface of an outline is its voxels with a neighbour over a face that is outside, as MONAI has it; distances
      are between the centres of voxels. ``hausdorff_mm``: the larger of the 95th percentiles of the distances from each
      surface to the other; ``surface_mm``: the mean over both. Volumes in which one outline is empty have no distances.
    """
    row = [_structure(volumes, structure) for structure in range(1, structures + 1)]
    spacings = [volume.spacing_mm for volume in volumes]
    voxels = {np.nan if spacing is None else float(np.prod(spacing)) * ML_OF_MM3 for spacing in spacings}
    counts, lengths = (np.array([each[part] for each in row]) for part in (0, 1))
    voxel_ml = voxels.pop() if len(voxels) == 1 else np.nan  # of volumes with unlike voxels none is added up
    if np.isnan(voxel_ml):
        lengths = np.full(lengths.shape, np.nan)
    reference, predicted, overlap, parts, parts_found, false_parts = counts.astype(np.int64).T[:, None]
    hausdorff, surface = lengths.astype(np.float64).T[:, None]
    volume = np.array([voxel_ml])
    return Outlines(reference, predicted, overlap, volume, hausdorff, surface, parts, parts_found, false_parts)


def _structure(volumes: Sequence[Volume], structure: int) -> tuple[tuple[int, ...], tuple[float, float]]:
    counts = np.zeros(6, np.int64)
    ways: tuple[list[Floats], list[Floats]] = ([], [])
    for volume in volumes:
        there, drawn = _cropped(volume.reference == structure, volume.predicted == structure)
        counts[:3] += there.sum(), drawn.sum(), (there & drawn).sum()
        counts[3:] += _parts(there, drawn)
        if volume.spacing_mm is not None and there.any() and drawn.any():
            for way, found in zip(ways, _distances(there, drawn, volume.spacing_mm), strict=True):
                way.append(found)
    if not ways[0]:
        return tuple(counts), (np.nan, np.nan)
    one, other = (np.concatenate(way) for way in ways)
    farthest = max(np.percentile(one, PERCENTILE), np.percentile(other, PERCENTILE))
    return tuple(counts), (float(farthest), float(np.concatenate([one, other]).mean()))


def _cropped(there: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cut both down to where one of them has a voxel; a single slice stays one, and several stay several."""
    found = scipy.ndimage.find_objects((there | drawn).astype(np.int8))
    if not found:
        return there[:, :0], drawn[:, :0]
    box = (slice(None), *found[0][1:])  # all slices: a single one is measured in its plane
    return there[box], drawn[box]


def _parts(there: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Count connected parts of the reference, found ones, and false ones of the model's."""
    touching = np.ones((3, 3, 3), bool)
    of_reference, parts = scipy.ndimage.label(there, touching)
    of_model, outlined = scipy.ndimage.label(drawn, touching)
    both = there & drawn
    return parts, len(np.unique(of_reference[both])), outlined - len(np.unique(of_model[both]))


def _distances(
    there: NDArray[np.bool_], drawn: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> tuple[Floats, Floats]:
    """Return the distances of each surface's voxels from the other surface, mm: of the model's and of the reference's.

    They are those of MONAI's ``compute_hausdorff_distance`` and ``compute_average_surface_distance``, each of which
    would find them again, in single precision.
    """
    spacing: tuple[float, ...] = spacing_mm
    if len(there) == 1:  # in three dimensions every voxel of a single slice would be surface
        there, drawn, spacing = there[0], drawn[0], spacing_mm[1:]
    model, reference = (np.argwhere(mask & ~scipy.ndimage.binary_erosion(mask)) * spacing for mask in (drawn, there))
    return scipy.spatial.KDTree(reference).query(model)[0], scipy.spatial.KDTree(model).query(reference)[0]


def _stack_spacing(places: Places, rows: Codes) -> tuple[float, float, float] | None:
    """Return the spacing of slices in order, None if it is not known or not the same throughout."""
    spacings = places.spacing_mm[rows]
    if len(rows) == 1:
        return _known(spacings[0])
    steps = np.diff(places.heights_mm[rows])
    step, plane = steps.mean(), spacings[0, 1:]
    if not (np.all(np.abs(steps - step) <= EVEN * step) and step > 0 and np.all(spacings[:, 1:] == plane)):
        return None
    return float(step), float(plane[0]), float(plane[1])


def _known(spacing: Floats) -> tuple[float, float, float] | None:
    return None if np.isnan(spacing).any() else (float(spacing[0]), float(spacing[1]), float(spacing[2]))
