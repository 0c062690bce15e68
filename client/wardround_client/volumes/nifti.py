"""A NIfTI volume, slice by slice: where it lies by the form that it states, and its values by the scaling it states.

What readers in common use read in two ways is refused (``images.nifti_header``). Slices are those along the third axis,
turned as DICOM's lie: columns towards the left (or the back), rows towards the back (or the feet).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from wardround_client.images.dicom import refusing
from wardround_client.images.distances import check_distances
from wardround_client.images.formats.nifti import inflate
from wardround_client.images.intensity import check_values
from wardround_client.images.meaning import Values
from wardround_client.images.nifti_header import form_of, header_of, scaling_of, shape_of, starts_of
from wardround_client.images.source import opened, read_bytes
from wardround_client.volumes.frames import Stamp
from wardround_client.volumes.geometry import Floats, Geometry
from wardround_common.errors import ImageRefused

_orientations: Any = nibabel.orientations  # these functions carry no types
_MOST_SKEW = 1e-3
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, eq=False)
class NiftiVolume:
    """A volume whose header was read and whose values are still on the disk."""

    file: Stamp
    compressed: bool
    geometry: Geometry
    notes: tuple[str, ...]
    dtype: np.dtype[Any]
    starts: int
    """Where the values begin in the (inflated) file."""
    stored: tuple[int, int]
    """Values along the first and the second axis."""
    slope: float
    intercept: float
    transposed: bool
    flips: tuple[bool, bool, bool]
    """Whether (slices, rows, columns) run against the axes of the file."""

    def raw(self, number: int) -> np.ndarray[Any, Any]:
        """Read the stored values of a slice, (rows, columns), before they are scaled.

        A compressed volume has no way in but from its start: it is inflated whole, once for all slices that are read
        one after another, up to a gibibyte. One that is not compressed may have any size.

        Raises:
            ImageRefused: ``changed``, ``truncated``, ``too-large``, or as the file system has it.
        """
        self.file.check()
        count = self.geometry.shape[0]
        across, along = self.stored
        length = across * along * self.dtype.itemsize
        start = self.starts + (count - 1 - number if self.flips[0] else number) * length
        if self.compressed:
            data = _inflated(self.file)[start : start + length]
        else:
            with opened(self.file.path, largest=None) as file:
                file.seek(min(start, self.file.size))  # a header may say that they begin beyond any file's end
                data = file.read(length)
        if len(data) < length:
            raise ImageRefused("truncated", "the volume is truncated", where=str(self.file.path))
        plane = np.frombuffer(data, self.dtype).reshape(along, across)
        plane = plane.T if self.transposed else plane
        return plane[:: -1 if self.flips[1] else 1, :: -1 if self.flips[2] else 1]

    def scaled(self, number: int) -> Values:
        """Read the values of a slice as they are stated: (rows, columns) float32, with what is not a number as it is.

        Raises:
            ImageRefused: as :meth:`raw` does; ``pixel-values``: some are too large to compute with.
        """
        raw = self.raw(number)
        check_values(raw, where=str(self.file.path), slope=self.slope, intercept=self.intercept)
        if (self.slope, self.intercept) != (1.0, 0.0):
            raw = raw * np.float64(self.slope) + self.intercept
        return np.ascontiguousarray(raw, np.float32)

    def values(self, number: int) -> Values:
        """Read the values of a slice: (rows, columns) float32; what is not a number takes the volume's smallest value.

        Raises:
            ImageRefused: as :meth:`scaled` does.
        """
        values = self.scaled(number)
        good = np.isfinite(values)
        return values if good.all() else np.where(good, values, self._smallest)

    @cached_property
    def _smallest(self) -> np.float32:
        """The smallest value of all slices: that of a slice alone would differ from one to the next."""
        least = np.float32(np.inf)
        for number in range(self.geometry.shape[0]):
            values = self.scaled(number)
            least = min(least, np.min(values, initial=np.inf, where=np.isfinite(values)))
        if not np.isfinite(least):
            raise ImageRefused("pixel-values", "none of its values is a number", where=str(self.file.path))
        return least


@dataclass(frozen=True, slots=True)
class NiftiSlice:
    """One slice of a NIfTI volume."""

    volume: NiftiVolume
    number: int
    sop_uid: str = field(default="", repr=False)

    @property
    def file(self) -> Path:
        """The file that it is stored in."""
        return self.volume.file.path

    def values(self) -> Values:
        """Read the values of the slice: (rows, columns) float32.

        Raises:
            ImageRefused: as :meth:`NiftiVolume.raw` does.
        """
        return self.volume.values(self.number)


def nifti_of(path: Path) -> NiftiVolume:
    """Read the header of a single-file NIfTI volume.

    Raises:
        ImageRefused: ``not-an-image``, ``unreadable``, ``truncated``, ``too-large``, ``shape`` if it holds other than
            one grey volume, ``no-orientation`` if it states no form, ``affines-contradict`` if it states two,
            ``singular-affine``, ``pixel-distances``, ``tilted``, ``pixel-layout`` if its values begin within its
            header, or ``pixel-values`` if its scaling can be read in two ways.
    """
    where = str(path)
    file = Stamp.of(path)
    with opened(path, largest=None) as raw:
        head = raw.read(540)
    compressed = head.startswith(_GZIP)
    if compressed:
        head = _inflated(file)[:540]
    with refusing("unreadable", "the NIfTI header cannot be read", where=where):
        header = header_of(head, where=where)
        shape, dtype = shape_of(header, where=where), header.get_data_dtype()
        slope, intercept = scaling_of(header, where=where)
        ras, notes = form_of(header, shape, where=where)
        volume = NiftiVolume(
            file=file,
            compressed=compressed,
            geometry=_stored_geometry(ras, shape, where=where),
            notes=notes,
            dtype=dtype,
            starts=starts_of(header, where=where),
            stored=shape[:2],
            slope=slope,
            intercept=intercept,
            transposed=False,
            flips=(False, False, False),
        )
        return _turned(volume, where=where)


def _stored_geometry(ras: Floats, shape: tuple[int, int, int], *, where: str) -> Geometry:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras
    geometry = Geometry.of(lps[:, [2, 1, 0, 3]], shape[::-1], where=where)
    check_distances(geometry.spacing_mm, where=where)
    if geometry.skew > _MOST_SKEW:
        raise ImageRefused(
            "tilted",
            "its axes are not at right angles, as with a tilted gantry, and it is not resampled",
            where=where,
            do="Convert it again to a right-angled grid.",
        )
    return geometry


def _turned(volume: NiftiVolume, *, where: str) -> NiftiVolume:
    """Turn slices as DICOM's lie: in their plane and in their order, never from one plane into another."""
    affine, shape = volume.geometry.affine.copy(), volume.geometry.shape
    axes = _orientations.io_orientation(affine)  # (slice, row, column): anatomical axis, sign
    transposed = bool(axes[1, 0] < axes[2, 0])  # left-right, then front-back, along the columns
    if transposed:
        affine[:, [1, 2]] = affine[:, [2, 1]]
        axes[[1, 2]] = axes[[2, 1]]
        shape = (shape[0], shape[2], shape[1])
    rows_down = 1 if axes[1, 0] == 1 else -1  # towards the back, else towards the feet
    flips = [False, bool(axes[1, 1] != rows_down), bool(axes[2, 1] < 0)]
    for axis in (1, 2):
        if flips[axis]:
            affine = _flipped(affine, axis, shape)
    flips[0] = bool(affine[:3, 0] @ np.cross(affine[:3, 2], affine[:3, 1]) < 0)
    if flips[0]:
        affine = _flipped(affine, 0, shape)
    return replace(
        volume,
        geometry=Geometry.of(affine, shape, where=where),
        transposed=transposed,
        flips=(flips[0], flips[1], flips[2]),
    )


def _flipped(affine: Floats, axis: int, shape: tuple[int, int, int]) -> Floats:
    turned = affine.copy()
    turned[:, 3] += affine[:, axis] * (shape[axis] - 1)
    turned[:, axis] = -affine[:, axis]
    return turned


@lru_cache(maxsize=1)
def _inflated(file: Stamp) -> bytes:
    try:
        return inflate(read_bytes(file.path), where=str(file.path))
    except ImageRefused as refused:
        if refused.reason == "too-large":
            refused.do = "Decompress it: what is not compressed is read slice by slice."
        raise
