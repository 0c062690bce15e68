"""Losses for outlines, one number per record, so that a patient's gradient can be clipped.

Dice loss (Milletari et al., V-Net, 3DV 2016) beside cross-entropy as in nnU-Net (Isensee et al., Nature Methods 2021),
or beside focal loss (Lin et al., ICCV 2017). Dice is of each record by itself: nnU-Net's Dice over a whole batch mixes
records and could not be clipped by patient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

SMOOTH = 1.0
"""Voxels that are added to both sides of Dice's fraction. Where a structure is not in a record, its loss is p / (p + 1)
of the p voxels that are outlined: 0 for nothing, and its gradient stays bounded."""
MOST_AT_A_TIME = 2**20
"""Logits of a volume that are looked at together when its loss is summed up."""
FOCUS = 2.0
"""Focal loss's gamma: a voxel that is right with probability 0.9 counts for a hundredth of its cross-entropy."""


def outline_loss(kind: Literal["dice-ce", "dice-focal"]) -> Loss:
    """Return the loss of logits (records, structures + 1, *space) and masks (records, *space): (records,) of 0 or more.

    The mean of one less Dice over the structures, background left out, plus the mean over the voxels of cross-entropy
    or of focal loss over all classes. It is at most 1 above the latter.
    """
    from monai.losses.dice import DiceLoss  # two seconds, which other tasks do not need

    dice = DiceLoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        reduction="none",  # (records, structures, 1, …)
        smooth_nr=SMOOTH,
        smooth_dr=SMOOTH,
    )
    of_voxels = _cross_entropy if kind == "dice-ce" else _focal

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        masks = targets.long()
        overlaps: torch.Tensor = dice(outputs, masks[:, None])
        return overlaps.flatten(1).mean(1) + of_voxels(outputs, masks).flatten(1).mean(1)

    return loss


def loss_of_volume(kind: Literal["dice-ce", "dice-focal"], outputs: torch.Tensor, masks: torch.Tensor) -> float:
    """Return the same loss of one volume, in double precision, a few slices at a time.

    ``outputs`` (structures + 1, slices, rows, columns) logits, ``masks`` (slices, rows, columns): what is held besides
    them does not grow with the number of slices.
    """
    of_voxels = _cross_entropy if kind == "dice-ce" else _focal
    overlap = torch.zeros(len(outputs) - 1, dtype=torch.float64)  # (structures,)
    sizes, voxels = torch.zeros_like(overlap), 0.0
    step = max(1, MOST_AT_A_TIME // outputs[:, 0].numel())
    for first in range(0, masks.shape[0], step):
        logits, mask = outputs[:, first : first + step].double(), masks[first : first + step].long()
        there = functional.one_hot(mask, len(outputs)).movedim(-1, 0)
        chances = logits.softmax(0)
        overlap += (chances * there)[1:].flatten(1).sum(1)
        sizes += (chances + there)[1:].flatten(1).sum(1)
        voxels += float(of_voxels(logits[None], mask[None]).sum())
    dice = (2 * overlap + SMOOTH) / (sizes + SMOOTH)
    return float((1 - dice).mean()) + voxels / masks.numel()


def _cross_entropy(outputs: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(outputs, masks, reduction="none")  # (records, *space)


def _focal(outputs: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    entropy = _cross_entropy(outputs, masks)
    # MONAI's takes the mean over the classes too, so that more structures would weigh each voxel less.
    return (1 - torch.exp(-entropy)) ** FOCUS * entropy
