"""Outlines as NIfTI, on the grid of the series that they outline: of a NIfTI file in the order of its own voxels."""

from __future__ import annotations

import gzip
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from wardround_client.volumes import Series
from wardround_client.volumes.nifti import NiftiSlice

_SCANNER = 1
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def nifti_of(outline: NDArray[np.uint8], series: Series) -> bytes:
    """Write an outline (slices, rows, columns) of a series as the content of a ``.nii.gz``.

    Both forms of the header state the same place, so that every reader agrees. The same outline is the same bytes.
    """
    stored, to_index = _in_stored_order(outline, series)
    affine = _TO_RAS @ series.geometry.affine @ to_index
    image: Any = nibabel.Nifti1Image(np.ascontiguousarray(stored), affine)  # type: ignore[no-untyped-call]
    image.set_sform(affine, _SCANNER)
    image.set_qform(affine, _SCANNER)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), mtime=0)


def _in_stored_order(outline: NDArray[np.uint8], series: Series) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return (x, y, z) as a file stores it, and the matrix from its index to that of (slice, row, column)."""
    to_index = np.zeros((4, 4))
    to_index[[2, 1, 0, 3], [0, 1, 2, 3]] = 1  # x is the column, y the row, z the slice
    first = series.slices[0]
    if not isinstance(first, NiftiSlice):
        return outline.transpose(2, 1, 0), to_index
    volume = first.volume
    turned = np.flip(outline, tuple(axis for axis, against in enumerate(volume.flips) if against))
    for axis, against in enumerate(volume.flips):
        if against:
            to_index[axis] = -to_index[axis]
            to_index[axis, 3] += outline.shape[axis] - 1
    if volume.transposed:
        to_index[:, [0, 1]] = to_index[:, [1, 0]]
        return turned.transpose(1, 2, 0), to_index
    return turned.transpose(2, 1, 0), to_index
