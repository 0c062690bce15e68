"""NIfTI masks: integers on a grid of their own, whose affine says where they lie."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from wardround_client.images.source import check_pixel_count
from wardround_client.masks.meet import Outlined, is_exact, onto
from wardround_client.masks.structures import MOST, Structures
from wardround_client.volumes import Series
from wardround_client.volumes.nifti import nifti_of
from wardround_common.errors import ImageRefused


def read(path: Path, series: Series, structures: Structures) -> Outlined:
    """Read a NIfTI mask onto the grid of a series; it must cover the series.

    Raises:
        ImageRefused: ``not-whole-numbers``, ``unknown-class``, ``not-covering``, ``outside-image``, or as
            :func:`wardround_client.volumes.nifti.nifti_of` does.
    """
    volume = nifti_of(path)
    check_pixel_count(math.prod(volume.geometry.shape), where=str(path))
    made = np.zeros(volume.geometry.shape, np.uint8)
    for number in range(len(made)):
        made[number] = classes_of(volume.values(number), structures, where=str(path))
    classes = onto(made, volume.geometry, series.geometry, covering=True)
    every = frozenset(range(1, len(structures.classes) + 1))
    exact = is_exact(volume.geometry, series.geometry)
    return Outlined(classes, np.ones(len(series), np.bool_), every, volume.notes, exact)


def classes_of(values: np.ndarray, structures: Structures, *, where: str) -> np.ndarray:
    """Return the class of each value, uint8 in the shape of ``values``.

    Raises:
        ImageRefused: ``not-whole-numbers`` or ``unknown-class``.
    """
    found = np.unique(values)
    if (found != np.rint(found)).any() or found[0] < 0 or len(found) > MOST + 1:
        raise ImageRefused(
            "not-whole-numbers",
            "its values are not the numbers of structures: it was scaled, resampled or is an image",
            where=where,
            do="Export it as integers, resampled by nearest neighbour if at all.",
        )
    table = np.array([structures.value(int(value)) for value in found], np.uint8)
    return table[np.searchsorted(found, values)]
