"""Boxes in the form that a network sees, and back; around the parts of a mask; and moved with the views of an image.

An array of boxes is (records, 50, 5) float32: upper, left, lower and right edge in pixels of the network's form, and
the number of the class; a record of fewer boxes is filled up with rows of class -1. It is as wide at each hospital, so
that records of several can be pooled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
import torch
from numpy.typing import NDArray

from wardround_client.images.hanging import Hanging
from wardround_client.intake.boxes import Box
from wardround_client.preparation.preprocessing import Place
from wardround_common.metrics.boxes import MOST_BOXES
from wardround_common.study.steps import Area

Boxes = NDArray[np.float32]
CLASS = 4
"""The column of the class."""
NONE = -1.0
_EDGES_AND_CORNERS = np.ones((3, 3), np.uint8)


def together(records: Sequence[Sequence[Sequence[float]]]) -> Boxes:
    """Return the boxes of some records, up to 50 of each, as one array (records, 50, 5)."""
    array = np.zeros((len(records), MOST_BOXES, 5), np.float32)
    array[..., CLASS] = NONE
    for row, boxes in enumerate(records):
        if len(boxes):
            array[row, : len(boxes)] = boxes
    return array


def to_form(boxes: Sequence[Box], area: Area, size: int, hanging: Hanging) -> list[tuple[float, ...]]:
    """Return the boxes of an image where preparation lays this part of it; what reaches beyond is cut off.

    ``hanging``: of the image (:meth:`Place.of`).
    """
    height, width = area.shape
    place = Place.of(height, width, size, hanging)
    high, wide = place.turn.shape(height, width)

    def row(at: float) -> float:
        return min(max(at - area.top, 0), height)

    def column(at: float) -> float:
        return min(max(at - area.left, 0), width)

    formed: list[tuple[float, ...]] = []
    for box in boxes:
        inside = row(box.top), column(box.left), row(box.bottom), column(box.right)
        top, left, bottom, right = place.turn.box(inside, height, width)
        down, across = place.rows / high, place.columns / wide
        edges = (place.top + top * down, place.left + left * across, place.top + bottom * down)
        formed.append((*edges, place.left + right * across, box.of_class))
    return formed


def from_form(boxes: Boxes, area: Area, size: int, hanging: Hanging) -> Boxes:
    """Return boxes (n, 4) of the form, which shows this part of an image, in pixels of the image (n, 4).

    In both, a box is its upper, left, lower and right edge. It is cut off where the part ends; one that lies beside it
    is empty. ``hanging``: of the image.
    """
    height, width = area.shape
    place = Place.of(height, width, size, hanging)
    high, wide = place.turn.shape(height, width)
    scale = np.array([high / place.rows, wide / place.columns] * 2)
    hung = (boxes.astype(np.float64) - [place.top, place.left] * 2) * scale
    back = np.stack(place.turn.inverse.box(tuple(hung.T), high, wide), axis=1)
    cut: Boxes = (np.clip(back, 0, [height, width] * 2) + [area.top, area.left] * 2).astype(np.float32)
    return cut


def around_parts(mask: NDArray[np.uint8], classes: int) -> list[tuple[float, ...]]:
    """Return a box around each part of each structure of a mask (rows, columns), the largest parts if there are many.

    Parts are connected over edges and corners; structure 1 of the mask is class 0.
    """
    boxes: list[tuple[int, tuple[float, ...]]] = []
    for structure in range(1, classes + 1):
        parts, count = scipy.ndimage.label(mask == structure, _EDGES_AND_CORNERS)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        for part, (rows, columns) in enumerate(scipy.ndimage.find_objects(parts), 1):
            box = (rows.start, columns.start, rows.stop, columns.stop, structure - 1)
            boxes.append((int(sizes[part]), tuple(map(float, box))))
    return [box for _, box in sorted(boxes, key=lambda one: -one[0])[:MOST_BOXES]]


def moved(boxes: torch.Tensor, matrices: torch.Tensor, space: tuple[int, ...]) -> torch.Tensor:
    """Return boxes (records, most, 5) as they lie in views of their images.

    ``matrices`` (records, 2, 3): from a place (x, y) of the view, -1 to 1, to that of the image (``affine_grid``).
    A lesion is taken for the ellipse in its box: turned, it gets the box around that ellipse. A box whose centre leaves
    the image is gone, and one that reaches outside is cut off.
    """
    sides = torch.tensor([space[-1], space[-2]], dtype=boxes.dtype, device=boxes.device)  # x, y
    inverse = torch.linalg.inv(matrices[:, :, :2])[:, None]  # (records, 1, 2, 2)
    low, high = boxes[..., [1, 0]], boxes[..., [3, 2]]  # x, y
    centre, half = (low + high) / sides - 1, (high - low) / sides
    centre = (inverse @ (centre - matrices[:, None, :, 2])[..., None])[..., 0]
    half = ((inverse * half[..., None, :]) ** 2).sum(-1).sqrt()
    inside = (centre.abs() < 1).all(-1)
    low, high = ((edge.clamp(-1, 1) + 1) / 2 * sides for edge in (centre - half, centre + half))
    of_class = torch.where(inside, boxes[..., CLASS], torch.full_like(boxes[..., CLASS], NONE))
    seen = torch.stack([low[..., 1], low[..., 0], high[..., 1], high[..., 0], of_class], dim=-1)
    there = boxes[..., CLASS:] >= 0
    return torch.where(there, seen, boxes)
