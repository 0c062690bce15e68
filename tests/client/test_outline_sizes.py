"""Volumes and diameters are those that a radiologist would measure on the outline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from wardround_client.tasks.outline_sizes import _edge, diameters, lesions
from wardround_client.volumes import Geometry

ALIKE = Geometry.of(np.eye(4), (5, 40, 40))


def disc(radius: float, stretch: float = 1.0) -> np.ndarray:
    rows, columns = np.indices((80, 80)) - 40
    return (rows * stretch) ** 2 + columns**2 <= radius**2


def test_a_bar_is_as_long_and_as_wide_as_its_voxels() -> None:
    bar = np.zeros((9, 9), bool)
    bar[4, 2:8] = True
    found = diameters(bar, (1.0, 2.0))
    assert (found.long_mm, found.short_mm) == pytest.approx((12.0, 1.0))
    assert sorted(found.long_ends) == [(4.0, 1.5), (4.0, 7.5)]


def test_one_voxel_has_the_size_of_a_voxel() -> None:
    found = diameters(np.ones((1, 1), bool), (2.0, 2.0))
    assert (found.long_mm, found.short_mm) == pytest.approx((2.0, 2.0))


def test_axes_are_at_right_angles_and_of_an_ellipse_those_of_the_ellipse() -> None:
    found = diameters(disc(20, stretch=2), (1.0, 1.0))
    assert found.long_mm == pytest.approx(41, abs=0.5)
    assert found.short_mm == pytest.approx(21, abs=0.5)
    long, short = (np.subtract(*ends) for ends in (found.long_ends, found.short_ends))
    assert abs(np.dot(long, short)) < 1e-6
    # The same ellipse as a disc whose rows are half as far apart.
    assert diameters(disc(20), (0.5, 1.0)).short_mm == pytest.approx(20.5, abs=0.5)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.3, 3), st.floats(0.3, 3))
def test_the_long_axis_is_the_largest_distance_on_the_edge_and_the_short_one_no_longer(
    seed: int, rows_mm: float, columns_mm: float
) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.random((rng.integers(1, 9), rng.integers(1, 9))) < 0.4
    plane[0, 0] = True
    found = diameters(plane, (rows_mm, columns_mm))
    assert found.long_mm == pytest.approx(pdist(_edge(plane) * (rows_mm, columns_mm)).max())
    assert 0 < found.short_mm <= found.long_mm + 1e-9
    for ends, length in ((found.long_ends, found.long_mm), (found.short_ends, found.short_mm)):
        assert np.linalg.norm(np.subtract(*ends) * (rows_mm, columns_mm)) == pytest.approx(length)


def test_parts_are_measured_by_themselves_in_the_slice_where_each_is_longest() -> None:
    there = np.zeros((5, 40, 40), bool)
    there[1, 5:8, 5:8] = there[2, 5:8, 5:20] = True  # one part over two slices
    there[4, 30, 30] = True
    grid = Geometry.of(np.diag([5.0, 2.0, 2.0, 1.0]), (5, 40, 40))
    one, other = lesions(there, grid)
    assert (one.voxels, one.slice, other.voxels, other.slice) == (54, 2, 1, 4)
    assert one.volume_ml == pytest.approx(54 * 20 / 1000)
    assert one.diameters.long_mm == pytest.approx(np.hypot(30, 4), abs=0.1)
    assert min(one.diameters.long_ends, key=lambda end: end[1]) == pytest.approx((5, 4.5), abs=2.1)
    assert lesions(np.zeros((2, 3, 3), bool), ALIKE) == []
