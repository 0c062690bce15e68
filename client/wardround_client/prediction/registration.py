"""Brings one examination of a patient into the frame of another: by their Frame of Reference, else by their images.

Rigid, six numbers, by SimpleITK (Mattes' mutual information over three resolutions), from our own arrays and affines,
since its readers are wrong on tilted, rescaled and enhanced series. What was found is judged by how well the images
then agree, and refused where they do not: a lesion that is compared at the wrong place is new and vanished at once.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wardround_client.volumes import Series
from wardround_client.volumes.geometry import Geometry
from wardround_common.errors import DataError

Floats = NDArray[np.float64]
Method = Literal["frame of reference", "rigid"]
STEP_MM = 2.0
"""Between the voxels that are compared; a series that is coarser along an axis keeps its own."""
LEAST_CORRELATION, LEAST_OVERLAP = 0.6, 0.4
"""Below either, two examinations are not compared (docs/prediction.md says on what these rest)."""
LARGEST_SKEW = 0.01
_BINS, _SAMPLES, _SEED = 32, 0.3, 20261128
_SHRINK, _SMOOTH_MM, _LEAST_SLICES = (4, 2, 1), (4.0, 2.0, 0.0), 6


@dataclass(frozen=True, eq=False)
class Registered:
    """How an examination lies in the frame of another one, and how far that can be trusted."""

    to_first: Floats = field(repr=False)
    """(4, 4): mm here to mm there."""
    method: Method
    correlation: float
    """Between the images, where both have some: 1 is perfect."""
    overlap: float
    """The part of the first one's body that lies within this one."""

    @property
    def turn_degrees(self) -> float:
        """By how much it was turned."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.to_first[:3, :3]) - 1) / 2, -1, 1))))


def register(first: Series, other: Series) -> Registered:
    """Bring an examination into the frame of the first one.

    Raises:
        DataError: they cannot be brought together, or SimpleITK is needed and not installed.
        ImageRefused: their pixels cannot be read.
    """
    fixed, moving = _coarse(first), _coarse(other)
    same = bool(first.frame_of_reference) and first.frame_of_reference == other.frame_of_reference
    return laid(fixed, moving, same_frame=same)


def laid(fixed: Volume, moving: Volume, *, same_frame: bool) -> Registered:
    """Lay one volume on another; of the same frame of reference as it is, which is judged all the same.

    Raises:
        DataError: as :func:`register`.
    """
    method: Method = "frame of reference" if same_frame else "rigid"
    found = np.eye(4) if same_frame else _rigid(fixed, moving)
    correlation, overlap = agreement(fixed, moving, found)
    made = Registered(found, method, correlation, overlap)
    if correlation < LEAST_CORRELATION or overlap < LEAST_OVERLAP:
        raise DataError(
            f"two examinations cannot be laid on one another ({method}): their images agree with a correlation of "
            f"{correlation:.2f} over {overlap:.0%} of the first one, and at least {LEAST_CORRELATION} over "
            f"{LEAST_OVERLAP:.0%} is needed",
            do="Compare examinations of the same part of the body by the same kind of series.",
        )
    return made


@dataclass(frozen=True, eq=False)
class Volume:
    """An examination as it is compared."""

    values: NDArray[np.float32] = field(repr=False)
    """(slices, rows, columns), from 0 to 1."""
    geometry: Geometry


def _coarse(series: Series) -> Volume:
    """Read a series with voxels of about :data:`STEP_MM`, each the mean of those that it holds."""
    if series.geometry.skew > LARGEST_SKEW:
        raise DataError(
            "an examination's slices are not at right angles to the way they are stacked, which is not compared",
            do="Compare examinations without a tilted gantry.",
        )
    return coarse(series.volume(), series.geometry)


def coarse(values: NDArray[np.float32], geometry: Geometry) -> Volume:
    """Bring a volume to voxels of about :data:`STEP_MM`, each the mean of those that it holds, from 0 to 1."""
    sides = zip(values.shape, geometry.spacing_mm, strict=True)
    times = [min(count, max(1, round(STEP_MM / side))) for count, side in sides]
    kept = [count // by for count, by in zip(values.shape, times, strict=True)]
    cut = values[tuple(slice(0, count * by) for count, by in zip(kept, times, strict=True))]
    small = cut.reshape(kept[0], times[0], kept[1], times[1], kept[2], times[2]).mean((1, 3, 5), dtype=np.float64)
    low, high = np.percentile(small, (0.5, 99.5))
    scaled = np.clip((small - low) / (high - low), 0, 1) if high > low else np.zeros_like(small)
    affine = geometry.affine @ np.diag([*times, 1.0])
    affine[:3, 3] = geometry.to_mm([(by - 1) / 2 for by in times])
    return Volume(scaled.astype(np.float32), Geometry.of(affine, scaled.shape))


def agreement(fixed: Volume, moving: Volume, to_fixed: Floats) -> tuple[float, float]:
    """Return the correlation of two volumes where either has a body, and the part of the first's that lies within."""
    matrix = moving.geometry.inverse @ np.linalg.inv(to_fixed) @ fixed.geometry.affine
    shape = fixed.values.shape
    there = ndimage.affine_transform(moving.values, matrix[:3, :3], matrix[:3, 3], shape, order=1, mode="nearest")
    at = np.tensordot(np.indices(shape), matrix[:3, :3], (0, 1)) + matrix[:3, 3]  # (slices, rows, columns, 3)
    within = ((at >= -0.5) & (at <= np.array(moving.values.shape) - 0.5)).all(axis=-1)  # a voxel has an extent
    body = fixed.values > _BODY
    overlap = float((body & within).sum() / max(1, body.sum()))
    both = within & (body | (there > _BODY))
    one, other = fixed.values[both], there[both]
    if len(one) < 2 or not one.std() or not other.std():
        return 0.0, overlap
    return float(np.corrcoef(one, other)[0, 1]), overlap


_BODY = 0.1  # of the range of grey values: what is darker is air


def _rigid(fixed: Volume, moving: Volume) -> Floats:
    if importlib.util.find_spec("SimpleITK") is None:
        raise DataError(
            "the examinations have different frames of reference, and what lays them on one another is not installed",
            do="Install it: pip install 'wardround[registration]'.",
        )
    itk: Any = importlib.import_module("SimpleITK")  # a quarter of a gigabyte, which nothing else needs
    itk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # the method's own number does not make it repeat its bytes
    images = [_image(itk, volume) for volume in (fixed, moving)]
    start = itk.CenteredTransformInitializer(
        *images, itk.Euler3DTransform(), itk.CenteredTransformInitializerFilter.MOMENTS
    )
    method = itk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLES, _SEED)
    method.SetInterpolator(itk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 200)
    method.SetOptimizerScalesFromPhysicalShift()
    fewest = min(*fixed.values.shape, *moving.values.shape)
    levels = [by for by in _SHRINK if fewest // by >= _LEAST_SLICES] or [1]
    method.SetShrinkFactorsPerLevel(levels)
    method.SetSmoothingSigmasPerLevel([_SMOOTH_MM[_SHRINK.index(by)] for by in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, False)
    try:
        found = method.Execute(*images)
    except RuntimeError:  # its text names nothing that helps: too little overlap, or an image of one value
        raise DataError(
            "two examinations cannot be laid on one another: too little of them overlaps",
            do="Compare examinations of the same part of the body by the same kind of series.",
        ) from None
    origin = np.array(found.TransformPoint((0.0, 0.0, 0.0)))
    sides = [np.array(found.TransformPoint(tuple(unit))) - origin for unit in np.eye(3).tolist()]
    to_moving = np.eye(4)
    to_moving[:3, :3], to_moving[:3, 3] = np.stack(sides, axis=1), origin
    return np.asarray(np.linalg.inv(to_moving), np.float64)


def _image(itk: Any, volume: Volume) -> Any:
    """Return a volume as SimpleITK has it: columns, rows, slices, and positions towards left, back and head as ours."""
    made = itk.GetImageFromArray(volume.values)
    geometry = volume.geometry
    made.SetSpacing([float(side) for side in geometry.spacing_mm[::-1]])
    made.SetOrigin([float(mm) for mm in geometry.affine[:3, 3]])
    made.SetDirection(geometry.directions[:, ::-1].reshape(-1).tolist())
    return made
