"""Outlines in the form that a network sees, and back: laid where preparation lays the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from wardround_client.preparation.preprocessing import Place, resized
from wardround_common.study.steps import Area

Outline = NDArray[np.uint8]


def to_form(outline: Outline, size: int, spacing_mm: Sequence[float] | None) -> Outline:
    """Bring outlines (slices, height, width) into the network's form: (slices, size, size) uint8.

    ``spacing_mm``: of the image, as for all functions here (:meth:`Place.of`).

    A pixel has the structure that covers most of it, smoothed as the image is; next to the image there is background.
    Where the form is coarser than the image, a structure narrower than half a pixel is lost.
    """
    height, width = outline.shape[1:]
    place = Place.of(height, width, size, spacing_mm)
    formed = np.zeros((len(outline), size, size), np.uint8)
    inside = formed[:, place.top : place.top + place.rows, place.left : place.left + place.columns]
    if inside.shape == outline.shape:
        inside[:] = outline
        return formed
    for number, plane in enumerate(outline):
        present = np.unique(plane)  # ascending, so that of two structures that cover as much the first stands
        covers = torch.stack([torch.from_numpy((plane == structure).astype(np.float32)) for structure in present])
        inside[number] = present[resized(covers[None], place.rows, place.columns)[0].argmax(0).numpy()]
    return formed


def from_form(outputs: torch.Tensor, height: int, width: int, spacing_mm: Sequence[float] | None) -> Outline:
    """Return the outlines (slices, height, width) that logits (slices, structures + 1, size, size) draw on the image.

    Logits are resized and then compared, so that an edge runs between pixels of the form too.
    """
    place = Place.of(height, width, outputs.shape[-1], spacing_mm)
    inside = outputs[..., place.top : place.top + place.rows, place.left : place.left + place.columns]
    if inside.shape[-2:] != (height, width):
        inside = functional.interpolate(inside, (height, width), mode="bilinear", align_corners=False)
    outline: Outline = inside.argmax(1).to(torch.uint8).numpy()
    return outline


def map_from_form(
    heat: NDArray[np.float32], area: Area, height: int, width: int, spacing_mm: Sequence[float] | None
) -> NDArray[np.float32]:
    """Return maps (records, size, size) of this part of images on the whole: (records, height, width), 0 beside it."""
    place = Place.of(*area.shape, heat.shape[-1], spacing_mm)
    inside = torch.from_numpy(heat)[:, place.top : place.top + place.rows, place.left : place.left + place.columns]
    if tuple(inside.shape[1:]) != area.shape:
        inside = functional.interpolate(inside[:, None], area.shape, mode="bilinear", align_corners=False)[:, 0]
    return area.back(inside.numpy(), height, width)


def spacing_in_form(height: int, width: int, spacing_mm: Sequence[float], size: int) -> tuple[float, float]:
    """Return how far apart rows and columns lie in the network's form, mm, by how far they lie in the image."""
    place = Place.of(height, width, size, spacing_mm)
    return spacing_mm[-2] * height / place.rows, spacing_mm[-1] * width / place.columns
