"""Volumes are turned, cut and resampled by where they lie in the patient, and can be laid back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from wardround_client.preparation.volume_form import Spacing, VolumeForm
from wardround_client.volumes import Geometry

CENTRE_MM, RADII_MM = np.array([8.0, -12.0, 20.0]), np.array([14.0, 18.0, 11.0])
ASIDE_MM = np.array([6.0, -4.0, 5.0])
TILTED = Rotation.from_euler("xyz", [7, -4, 3], degrees=True).as_matrix()
AXES = [
    pytest.param(
        order, signs, tilt, id=f"{''.join('LPS'[axis] for axis in order)}{''.join('-+'[s > 0] for s in signs)}"
    )
    for number, (order, signs) in enumerate(
        itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
    )
    for tilt in (number % 2 == 1,)
    if number % 3 == 0
]


def grid_of(order: tuple[int, ...], signs: tuple[int, ...], spacing: Spacing, *, tilt: bool) -> Geometry:
    """Return a grid of some 80 mm around the body, whose axes run towards these of (left, back, head), or away."""
    directions = np.zeros((3, 3))
    directions[order, range(3)] = signs
    if tilt:
        directions = TILTED @ directions
    shape = tuple(int(80 / each) for each in spacing)
    steps = directions * spacing
    first = CENTRE_MM + ASIDE_MM - steps @ ((np.array(shape) - 1) / 2)
    return Geometry.of(np.column_stack([steps, first]), shape)  # type: ignore[arg-type]  # three


def body_in(grid: Geometry) -> np.ndarray:
    """Return which voxels of a grid lie in the body, an ellipsoid of three unlike radii: uint8."""
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return (np.square((places - CENTRE_MM) / RADII_MM).sum(-1) <= 1).astype(np.uint8)


def whole(grid: Geometry) -> tuple[tuple[int, int], ...]:
    return tuple((0, count) for count in grid.shape)


def made(form: VolumeForm, values: np.ndarray) -> np.ndarray:
    """Return a volume of one channel in the form."""
    planes = form.slices(lambda number: torch.from_numpy(values[None, number].astype(np.float32)))
    return form.turned(np.stack([plane.numpy()[0] for plane in planes]))


@pytest.mark.parametrize(("order", "signs", "tilt"), AXES)
def test_a_structure_stays_on_its_voxels_from_every_orientation(
    order: tuple[int, ...], signs: tuple[int, ...], tilt: bool
) -> None:
    grid = grid_of(order, signs, (5.0, 2.0, 1.6), tilt=tilt)
    outlined, box = body_in(grid), whole(grid)
    form = VolumeForm.of(grid, box, (4.0, 2.0, 2.0))  # type: ignore[arg-type]  # three pairs
    assert form.geometry.orientation == "SPL"
    np.testing.assert_allclose(form.spacing_mm, (4.0, 2.0, 2.0), rtol=0.06)
    mask = form.turned(np.stack([*form.classes(outlined, 1)]))
    image = made(form, outlined)
    assert mask.shape == image.shape == form.shape
    truth = body_in(form.geometry)
    dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    assert dice > 0.85  # slices of 5 mm cannot tell more
    assert image[mask > 0].min() >= 0.49
    middle = form.geometry.to_mm(np.argwhere(mask)).mean(axis=0)
    np.testing.assert_allclose(middle, CENTRE_MM, atol=1.0)


def test_a_cut_volume_is_laid_back_on_the_voxels_that_it_came_from() -> None:
    grid = grid_of((0, 2, 1), (1, -1, 1), (4.0, 2.0, 2.0), tilt=True)
    outlined, box = body_in(grid), ((3, 17), (4, 39), (1, 33))
    form = VolumeForm.of(grid, box, (2.0, 2.0, 4.0))  # what the series has, towards head, back and left
    assert sorted(form.shape) == sorted((14, 35, 32))
    mask = form.turned(np.stack([*form.classes(outlined, 1)]))
    kept = np.zeros_like(outlined)
    inside = tuple(slice(*ends) for ends in box)
    kept[inside] = outlined[inside]
    assert kept.any()
    assert np.array_equal(form.back(mask), kept)
    resampled = VolumeForm.of(grid, box, (1.0, 1.5, 3.0))
    again = resampled.back(resampled.turned(np.stack([*resampled.classes(outlined, 1)])))
    assert 2 * (again & kept).sum() / (again.sum() + kept.sum()) > 0.97


def test_slices_are_resampled_as_scipy_does_it_where_voxels_become_smaller() -> None:
    values = np.random.default_rng(0).random((7, 9, 8))
    grid = Geometry.of(
        np.column_stack([np.diag([1.0, 1.0, 1.0])[:, [2, 1, 0]] * (4.0, 3.0, 2.0), np.zeros(3)]), (7, 9, 8)
    )
    form = VolumeForm.of(grid, whole(grid), (2.0, 1.0, 1.0))  # type: ignore[arg-type]  # three pairs
    found = made(form, values)
    assert found.shape == (14, 27, 16)
    index = [(np.arange(now) + 0.5) * was / now - 0.5 for now, was in zip(found.shape, values.shape, strict=True)]
    places = np.meshgrid(*index, indexing="ij")
    expected = ndimage.map_coordinates(values, places, order=1, mode="nearest")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_becomes_coarser_is_smoothed_along_all_axes_and_keeps_its_mean() -> None:
    fine = np.indices((40, 40, 40)).sum(0) % 2  # which would vanish, or stay as it is, if voxels were skipped
    grid = Geometry.of(np.eye(4)[:3][:, [2, 1, 0, 3]], (40, 40, 40))
    form = VolumeForm.of(grid, whole(grid), (2.0, 2.0, 2.0))  # type: ignore[arg-type]  # three pairs
    found = made(form, fine)
    np.testing.assert_allclose(found, 0.5, atol=0.05)


@pytest.mark.slow
def test_a_volume_is_turned_as_monai_does_it() -> None:
    from monai.data.meta_tensor import MetaTensor
    from monai.transforms import Orientation

    grid = grid_of((1, 0, 2), (-1, 1, -1), (4.0, 2.0, 2.0), tilt=False)
    values = np.random.default_rng(1).random(grid.shape)
    form = VolumeForm.of(grid, whole(grid), (2.0, 4.0, 2.0))  # type: ignore[arg-type]  # three pairs
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    tensor = MetaTensor(torch.from_numpy(values)[None], affine=torch.from_numpy(ras))
    turned = Orientation(axcodes="SPL", labels=(("L", "R"), ("P", "A"), ("I", "S")))(tensor)
    np.testing.assert_allclose(made(form, values), turned[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(np.diag([-1.0, -1.0, 1.0, 1.0]) @ form.geometry.affine, turned.affine.numpy(), atol=1e-6)
