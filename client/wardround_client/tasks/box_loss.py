"""The loss of a network that finds lesions by their centres: a heat map of each class, and each box's place and sides.

Zhou, Wang and Krähenbühl, *Objects as Points*, arXiv 1904.07850 (2019), section 3, on outputs of every pixel. What
differs: the heat of a lesion falls off with its own height and width (as in Liu et al., *Training-time-friendly network
for real-time object detection*, AAAI 2020); sides are learnt as logarithms, so that a box of twice the size may be
twice as wrong; and place and sides are learnt in the 3 × 3 pixels around a centre, which are what one pixel of a map of
a quarter of the size is.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from wardround_client.tasks.box_form import CLASS

PRIOR = -2.19
"""Log-odds of a centre at an output of 0, a confidence of 0.1: the bias with which the paper begins its heat maps."""
SIDES = 8
"""A side at an output of 0 is the image's by this number."""
NARROWEST = 0.5
"""Of a heat map's standard deviation, which is a sixth of a box's side, in pixels."""
FOCUS, FAR = 2, 4
"""The exponents alpha and beta of the focal loss (equation 1)."""
TOGETHER = 10
"""Boxes of a record that are laid out at a time: a card is asked for few operations, and they fit its memory."""


def box_loss(outputs: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Return the loss (records,) of outputs (records, classes + 4, rows, columns) for boxes (records, most, 5).

    Each record's is divided by its own number of boxes, and depends on no other record: a patient can be clipped.
    """
    classes = outputs.shape[1] - 4
    heat, goal, weight, centres = maps_of(boxes, classes, (outputs.shape[2], outputs.shape[3]))
    logits = outputs[:, :classes] + PRIOR
    there, rest = functional.logsigmoid(logits), functional.logsigmoid(-logits)  # logarithms of p and 1 - p
    hit = (1 - there.exp()) ** FOCUS * there * centres
    miss = (1 - heat) ** FAR * there.exp() ** FOCUS * rest * (1 - centres)
    count = (boxes[..., CLASS] >= 0).sum(1).clamp(min=1)
    place = ((outputs[:, classes:] - goal).abs() * weight[:, None]).flatten(1).sum(1)
    return (place - (hit + miss).flatten(1).sum(1)) / count


def maps_of(
    boxes: torch.Tensor, classes: int, space: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what outputs should be: heat, place and sides, their weights, and the centres.

    Heat and centres are (records, classes, rows, columns); place and sides (records, 4, rows, columns); weights
    (records, rows, columns), which add up to 1 for each box that lies alone.
    """
    records, (height, width) = len(boxes), space
    rows = torch.arange(height, device=boxes.device)
    columns = torch.arange(width, device=boxes.device)
    heat = boxes.new_zeros(records, classes, height, width)
    centres = torch.zeros_like(heat)
    goal, weight = boxes.new_zeros(records, 4, height, width), boxes.new_zeros(records, height, width)
    if boxes.device.type == "cpu":  # a card would be waited for
        boxes = boxes[:, (boxes[..., CLASS] >= 0).any(0)]  # most records have few of the boxes that there is room for
    for some in torch.split(boxes, TOGETHER, 1) if boxes.shape[1] else ():
        top, left, bottom, right, of_class = some.unbind(-1)  # each (records, boxes)
        down, across = bottom - top, right - left
        row, column = (top + bottom) / 2, (left + right) / 2
        at_row, at_column = row.floor().clamp(0, height - 1), column.floor().clamp(0, width - 1)
        off_rows, off_columns = rows - at_row[..., None], columns - at_column[..., None]  # (…, rows), (…, columns)
        hill = _bell(off_rows, down)[..., None] * _bell(off_columns, across)[..., None, :]  # (…, rows, columns)
        centre = (off_rows == 0)[..., None] & (off_columns == 0)[..., None, :]
        for number in range(classes):
            mine = (of_class == number)[..., None, None]
            heat[:, number] = torch.maximum(heat[:, number], (hill * mine).amax(1))
            centres[:, number] = torch.maximum(centres[:, number], (centre & mine).any(1).to(heat.dtype))
        near = (off_rows.abs() <= 1)[..., None] & (off_columns.abs() <= 1)[..., None, :]
        near = near & (of_class >= 0)[..., None, None]
        order = torch.arange(1, some.shape[1] + 1, device=boxes.device)
        last = (near * order[:, None, None]).amax(1).flatten(1)  # (records, rows · columns); 0 where none is near
        there, which = (last > 0).view(records, 1, height, width), (last - 1).clamp(min=0)
        shares = 1 / near.flatten(2).sum(2).clamp(min=1).to(weight.dtype)
        said = (row, column, _side(down, height), _side(across, width), shares)
        aims = torch.stack([one.gather(1, which).view(records, height, width) for one in said], 1)
        aims[:, 0] -= rows[:, None]
        aims[:, 1] -= columns
        aims[:, :2] -= 0.5
        goal = torch.where(there, aims[:, :4], goal)
        weight = torch.where(there[:, 0], aims[:, 4], weight)
    return heat, goal, weight, centres


def _bell(off: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    deviation = (side / 6).clamp(min=NARROWEST)[..., None]
    return (-(off**2) / (2 * deviation**2)).exp()


def _side(pixels: torch.Tensor, whole: int) -> torch.Tensor:
    return (pixels.clamp(min=1e-3) * SIDES / whole).log()
