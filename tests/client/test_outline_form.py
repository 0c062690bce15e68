"""Outlines come into the network's form where the image does, and back to where they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import study
from wardround_client.images import Image
from wardround_client.images.hanging import NOT_SAID, hanging_of
from wardround_client.preparation.preprocessing import to_network_form
from wardround_client.tasks.outline_form import from_form, spacing_in_form, to_form

SHAPES = [(16, 16), (40, 24), (7, 19), (33, 64), (64, 9)]


def ellipse(height: int, width: int) -> np.ndarray:
    """Return an outline off the middle, (1, height, width), so that a mirrored or shifted one would show."""
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows - 0.35 * height) / (0.3 * height)) ** 2 + ((columns - 0.6 * width) / (0.25 * width)) ** 2 < 1
    return inside[None].astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spacing", [None, (0.5, 1.0), (1.0, 0.4)])
def test_an_outline_lies_where_its_image_does(shape: tuple[int, int], spacing: tuple[float, float] | None) -> None:
    outline = ellipse(*shape)
    data = study(data={"image_size": 32, "intensity": "range"}).data
    pixels = to_network_form(Image(outline.astype(np.float32), spacing), data)[0]  # an image of the outline itself
    formed = to_form(outline, 32, hanging_of(spacing))
    assert formed.shape == (1, 32, 32)
    sure = np.abs(pixels - 0.5) > 0.02
    assert np.array_equal(formed[0][sure], (pixels > 0.5)[sure])
    assert formed.any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spacing", [None, (0.8, 1.0), (1.0, 0.8)])
def test_what_is_drawn_in_the_form_comes_back_to_the_image(
    shape: tuple[int, int], spacing: tuple[float, float] | None
) -> None:
    outline = ellipse(*shape)
    formed = torch.from_numpy(to_form(outline, 64, hanging_of(spacing))).long()
    logits = 8.0 * torch.nn.functional.one_hot(formed, 2).permute(0, 3, 1, 2).float()
    back = from_form(logits, *shape, hanging_of(spacing))
    assert back.shape == outline.shape
    assert np.count_nonzero(back != outline) <= 0.02 * outline.size


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**30))
def test_structures_of_an_image_of_the_form_s_size_are_as_they_were(height: int, width: int, seed: int) -> None:
    outline = np.random.default_rng(seed).integers(0, 4, (2, height, width)).astype(np.uint8)
    size = max(height, width)
    formed = to_form(outline, size, NOT_SAID)
    top, left = (size - height) // 2, (size - width) // 2
    assert np.array_equal(formed[:, top : top + height, left : left + width], outline)
    assert np.count_nonzero(formed) == np.count_nonzero(outline)
    logits = torch.nn.functional.one_hot(torch.from_numpy(formed).long(), 4).permute(0, 3, 1, 2).float()
    assert np.array_equal(from_form(logits, height, width, NOT_SAID), outline)


def test_a_coarser_form_has_the_structure_that_covers_most_of_a_pixel() -> None:
    outline = np.zeros((1, 64, 64), np.uint8)
    outline[:, :, :32], outline[:, 20:44, 40:60] = 3, 1
    formed = to_form(outline, 32, NOT_SAID)[0]
    assert set(np.unique(formed)) == {0, 1, 3}  # never a structure between two, as resized numbers would give
    assert (formed[:, :16] == 3).all()
    assert (formed[11:21, 21:29] == 1).all()


def test_spacing_in_the_form_keeps_the_size_of_the_patient() -> None:
    assert spacing_in_form(256, 256, hanging_of((0.9375, 0.9375)), 128) == (1.875, 1.875)
    rows, columns = spacing_in_form(40, 24, hanging_of((1.0, 2.0)), 32)  # 40 x 48 mm
    assert rows * 27 == pytest.approx(40.0)
    assert columns * 32 == pytest.approx(48.0)
