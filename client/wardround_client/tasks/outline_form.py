"""Outlines in the form that a network sees, and back: laid where preparation lays the image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from wardround_client.images.hanging import Hanging
from wardround_client.preparation.preprocessing import Place, resized
from wardround_common.study.steps import Area

Outline = NDArray[np.uint8]


def to_form(outline: Outline, size: int, hanging: Hanging) -> Outline:
    """Bring outlines (slices, height, width) into the network's form: (slices, size, size) uint8.

    ``hanging``: of the image, as for all functions here (:meth:`Place.of`).

    A pixel has the structure that covers most of it, smoothed as the image is; next to the image there is background.
    Where the form is coarser than the image, a structure narrower than half a pixel is lost.
    """
    height, width = outline.shape[1:]
    place = Place.of(height, width, size, hanging)
    formed = np.zeros((len(outline), size, size), np.uint8)
    inside, hung = place.inside(formed), place.turn.of(outline)
    if inside.shape == hung.shape:
        inside[:] = hung
        return formed
    for number, plane in enumerate(hung):
        present = np.unique(plane)  # ascending, so that of two structures that cover as much the first stands
        covers = torch.stack([torch.from_numpy((plane == structure).astype(np.float32)) for structure in present])
        inside[number] = present[resized(covers[None], place.rows, place.columns)[0].argmax(0).numpy()]
    return formed


def from_form(outputs: torch.Tensor, height: int, width: int, hanging: Hanging) -> Outline:
    """Return the outlines (slices, height, width) that logits (slices, structures + 1, size, size) draw on the image.

    Logits are resized and then compared, so that an edge runs between pixels of the form too.
    """
    place = Place.of(height, width, outputs.shape[-1], hanging)
    inside, shape = place.inside(outputs), place.turn.shape(height, width)
    if inside.shape[-2:] != shape:
        inside = functional.interpolate(inside, shape, mode="bilinear", align_corners=False)
    hung: Outline = inside.argmax(1).to(torch.uint8).numpy()
    return place.turn.inverse.of(hung)


def map_from_form(
    heat: NDArray[np.float32], area: Area, height: int, width: int, hanging: Hanging
) -> NDArray[np.float32]:
    """Return maps (records, size, size) of this part of images on the whole: (records, height, width), 0 beside it."""
    place = Place.of(*area.shape, heat.shape[-1], hanging)
    inside, shape = place.inside(torch.from_numpy(heat)), place.turn.shape(*area.shape)
    if tuple(inside.shape[1:]) != shape:
        inside = functional.interpolate(inside[:, None], shape, mode="bilinear", align_corners=False)[:, 0]
    return area.back(place.turn.inverse.of(inside.numpy()), height, width)


def spacing_in_form(height: int, width: int, hanging: Hanging, size: int) -> tuple[float, float]:
    """Return how far apart rows and columns lie in the network's form, by how far they lie in the image.

    In mm; in widths of a stored pixel where its distances are not known.
    """
    place = Place.of(height, width, size, hanging)
    high, wide = place.turn.shape(height, width)
    rows_mm, columns_mm = hanging.hung_sides
    return rows_mm * high / place.rows, columns_mm * wide / place.columns
