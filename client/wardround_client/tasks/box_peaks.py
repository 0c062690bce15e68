"""From a network's outputs to boxes, and from boxes to which of them find a lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from wardround_client.tasks.box_form import CLASS
from wardround_client.tasks.box_loss import PRIOR, SIDES
from wardround_common.metrics.boxes import LOWEST, MOST_BOXES, OVERLAPS

SAME = 0.2
"""IoU above which two boxes of a class are one lesion: the less confident one is left out."""
TOGETHER = 16
"""Records that are looked at together, for the memory that sorting takes."""
LARGEST = 4.0
"""Of a side's logarithm: no side is more than 7 times the image's."""
Boxes = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Drawn:
    """The boxes of one record, the most confident first."""

    boxes: Boxes = field(repr=False)
    """(n, 4): upper, left, lower and right edge in pixels of the network's form."""
    log_odds: NDArray[np.float32] = field(repr=False)
    """(n,)."""
    of_class: NDArray[np.int64] = field(repr=False)
    """(n,)."""


def drawn(outputs: torch.Tensor) -> list[Drawn]:
    """Return the boxes of each record, from outputs (records, classes + 4, rows, columns) on the CPU.

    A box is where the heat map of a class is as high as any of the 3 × 3 pixels around, the 50 highest of a record, of
    equals the first in the order of class, row and column. Of those that overlap the most confident one stays.
    """
    return [one for some in torch.split(outputs, TOGETHER) for one in _drawn(some)]


def _drawn(outputs: torch.Tensor) -> list[Drawn]:
    classes, (height, width) = outputs.shape[1] - 4, outputs.shape[2:]
    logits = outputs[:, :classes].float() + PRIOR
    peaks = torch.where(logits == functional.max_pool2d(logits, 3, 1, 1), logits, -torch.inf).flatten(1)
    highest, places = (one[:, :MOST_BOXES] for one in peaks.sort(dim=1, descending=True, stable=True))
    of_class, pixel = places // (height * width), places % (height * width)
    four = outputs[:, classes:].float().flatten(2).gather(2, pixel[:, None].expand(-1, 4, -1))  # (records, 4, boxes)
    rows = pixel // width + 0.5 + four[:, 0]
    columns = pixel % width + 0.5 + four[:, 1]
    down, across = (
        whole / SIDES * four[:, each].clamp(-LARGEST, LARGEST).exp() / 2 for each, whole in ((2, height), (3, width))
    )
    boxes = torch.stack([rows - down, columns - across, rows + down, columns + across], dim=2)
    ends = torch.tensor([height, width] * 2, dtype=boxes.dtype)
    boxes = torch.minimum(boxes.clamp(min=0), ends)
    return [_kept(*(one.numpy() for one in record)) for record in zip(boxes, highest, of_class, strict=True)]


def _kept(boxes: Boxes, log_odds: NDArray[np.float32], of_class: NDArray[np.int64]) -> Drawn:
    sides = boxes[:, 2:] - boxes[:, :2]
    fit = (log_odds >= LOWEST) & (sides > 0).all(axis=1)
    boxes, log_odds, of_class = boxes[fit], log_odds[fit], of_class[fit]
    same = (overlaps(boxes, boxes) > SAME) & (of_class[:, None] == of_class)
    kept: list[int] = []
    for number in range(len(boxes)):
        if not same[number, kept].any():
            kept.append(number)
    return Drawn(boxes[kept], log_odds[kept], of_class[kept])


def overlaps(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the intersection over union of each of boxes (n, 4) with each of others (m, 4): (n, m)."""
    first, second = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    both = np.clip(np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2]), 0, None)
    shared = both.prod(axis=2)
    areas = (first[..., 2:] - first[..., :2]).prod(axis=2) + (second[..., 2:] - second[..., :2]).prod(axis=2)
    iou: NDArray[np.float64] = shared / np.maximum(areas - shared, 1e-12)
    return iou


def finds(one: Drawn, lesions: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return whether each box of a record finds one of its lesions (most, 5), at each overlap: (boxes, 2)."""
    found = np.zeros((len(one.log_odds), len(OVERLAPS)), np.bool_)
    lesions = lesions[lesions[:, CLASS] >= 0]
    if not len(lesions) or not len(found):
        return found
    fit = overlaps(one.boxes, lesions[:, :CLASS]) * (one.of_class[:, None] == lesions[:, CLASS])
    for number, least in enumerate(OVERLAPS):
        free = np.ones(len(lesions), np.bool_)
        for box in range(len(found)):  # the most confident one first
            best = int((fit[box] * free).argmax())
            if free[best] and fit[box, best] >= least:
                free[best] = False
                found[box, number] = True
    return found


def lesions_of(records: Sequence[NDArray[np.floating]], classes: int) -> NDArray[np.int64]:
    """Count the lesions of each class in some records, each (most, 5): (classes,)."""
    numbers = [one[:, CLASS][one[:, CLASS] >= 0].astype(np.int64) for one in records]
    every = np.concatenate([*numbers, np.zeros(0, np.int64)])
    return np.bincount(every, minlength=classes).astype(np.int64)
