"""A series laid on the grid of another one has, at each voxel, the value of the place where that voxel lies."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial.transform import Rotation

from wardround_client.preparation import regrid
from wardround_client.preparation.regrid import OnGrid
from wardround_client.volumes import Geometry, Series, series_in
from wardround_common.errors import ImageRefused

SLOPE, OFFSET = np.array([0.7, -1.3, 2.1]), 400.0
"""Of a field that is linear in mm, which linear interpolation gives exactly."""
SHAPE, SPACING = (12, 20, 24), (5.0, 2.0, 1.5)  # slices, rows, columns


def field(grid: Geometry) -> NDArray[np.float64]:
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return np.asarray(places @ SLOPE + OFFSET)


def axial(shape: tuple[int, int, int] = SHAPE, spacing: tuple[float, float, float] = SPACING) -> Geometry:
    """Return a grid of axial slices around 0 mm."""
    return around(np.eye(3)[:, [2, 1, 0]], shape, spacing)


def around(directions: NDArray[np.float64], shape: tuple[int, int, int], spacing: tuple[float, ...]) -> Geometry:
    steps = directions * spacing
    return Geometry.of(np.column_stack([steps, -steps @ ((np.array(shape) - 1) / 2)]), shape)


def written(grid: Geometry, values: NDArray[np.float64], path: Path) -> Series:
    """Write values on a grid as a NIfTI file, and read it as a series."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(values.transpose(2, 1, 0).astype(np.float32), ras)
    image.set_qform(None)
    nibabel.save(image, path)
    (series,) = series_in([path])
    assert isinstance(series, Series)
    return series


def laid(series: Series, grid: Geometry) -> NDArray[np.float64]:
    on_grid = OnGrid(series, grid)
    return np.stack([on_grid.slice(number) for number in range(grid.shape[0])]).astype(np.float64)


TILT = Rotation.from_euler("xyz", [12, -8, 20], degrees=True).as_matrix()
GRIDS = {
    "the same": axial(),
    "moved and scaled within the slices": around(np.eye(3)[:, [2, 1, 0]], (12, 9, 10), (5.0, 3.0, 2.5)),
    "turned within the slices": around(
        Rotation.from_euler("z", 30, degrees=True).as_matrix()[:, [2, 1, 0]], (12, 9, 9), (5.0, 2.0, 2.0)
    ),
    "oblique": around(TILT[:, [2, 1, 0]], (6, 8, 9), (4.0, 1.5, 2.5)),
    "sagittal": around(np.eye(3), (8, 9, 10), (3.0, 3.0, 4.0)),
    "upside down": around(-np.eye(3)[:, [2, 1, 0]], (12, 9, 10), (5.0, 2.0, 2.0)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_field_that_is_linear_in_mm_is_found_at_every_voxel(name: str, tmp_path: Path) -> None:
    series = written(axial(), field(axial()), tmp_path / "series.nii")
    np.testing.assert_allclose(laid(series, GRIDS[name]), field(GRIDS[name]), atol=2e-3)


@pytest.mark.parametrize("name", ["oblique", "sagittal"])
def test_values_are_those_of_scipys_interpolator(name: str, tmp_path: Path) -> None:
    values, grid = np.random.default_rng(3).random(SHAPE), GRIDS[name]
    series = written(axial(), values, tmp_path / "series.nii")
    places = axial().to_index(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)))
    reference = RegularGridInterpolator([np.arange(count) for count in SHAPE], values)
    np.testing.assert_allclose(laid(series, grid), reference(places), atol=1e-5)


def test_beyond_the_series_its_edge_is_repeated(tmp_path: Path) -> None:
    values = np.random.default_rng(4).random(SHAPE)
    series = written(axial(), values, tmp_path / "series.nii")
    wider = axial((12, 20, 26))  # a column more on either side
    found = laid(series, wider)
    np.testing.assert_allclose(found[:, :, 1:-1], values, atol=1e-6)
    np.testing.assert_allclose(found[:, :, [0, -1]], values[:, :, [0, -1]], atol=1e-6)


def test_of_slices_that_lie_between_the_series_own_the_nearest_is_taken(tmp_path: Path) -> None:
    values = np.random.default_rng(5).random(SHAPE)
    series = written(axial(), values, tmp_path / "series.nii")
    shifted = Geometry.of(axial().affine + np.outer([0, 0, 1.5, 0], [0, 0, 0, 1]), SHAPE)  # of 5 mm
    np.testing.assert_allclose(laid(series, shifted), values, atol=1e-6)


def test_a_series_elsewhere_is_refused(tmp_path: Path) -> None:
    series = written(axial(), field(axial()), tmp_path / "series.nii")
    elsewhere = Geometry.of(axial().affine + np.outer([30, 0, 0, 0], [0, 0, 0, 1]), SHAPE)
    with pytest.raises(
        ImageRefused, match=r"covers \d+ % of the one that it is laid on, and must cover 90 %"
    ) as refused:
        OnGrid(series, elsewhere)
    assert refused.value.reason == "not-covering"


def test_a_long_series_is_read_slice_by_slice_to_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(6).random(SHAPE)
    series = written(axial(), values, tmp_path / "series.nii")
    grid = GRIDS["moved and scaled within the slices"]
    held, whole = laid(series, grid), OnGrid(series, axial())
    assert np.array_equal(whole.sample(), series.volume().ravel())
    monkeypatch.setattr(regrid, "MOST_HELD", values.size // 3)
    assert np.array_equal(laid(series, grid), held)
    long = OnGrid(series, axial())
    assert values.size // 3 <= long.sample().size <= values.size // 3 + SHAPE[0]
    assert set(long.sample()) <= set(whole.sample())
    for one, other in zip(long.highest(), whole.highest(), strict=True):
        assert np.array_equal(one, other)
