"""NIfTI masks: integers on a grid of their own, whose affine says where they lie."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from wardround_client.images.source import check_pixel_count
from wardround_client.masks.formats.contract import VolumeFormat
from wardround_client.masks.meet import Outlined, is_exact, onto
from wardround_client.masks.structures import Structures, classes_of
from wardround_client.volumes import Series
from wardround_client.volumes.nifti import nifti_of


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
        made[number] = classes_of(volume.scaled(number), structures, where=str(path))
    classes = onto(made, volume.geometry, series.geometry, covering=True)
    every = frozenset(range(1, len(structures.classes) + 1))
    exact = is_exact(volume.geometry, series.geometry)
    return Outlined(classes, np.ones(len(series), np.bool_), every, volume.notes, exact)


FORMAT = VolumeFormat("nifti", (".nii.gz", ".nii"), read)
