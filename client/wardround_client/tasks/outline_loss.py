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


def _cross_entropy(outputs: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(outputs, masks, reduction="none")  # (records, *space)


def _focal(outputs: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    entropy = _cross_entropy(outputs, masks)
    # MONAI's takes the mean over the classes too, so that more structures would weigh each voxel less.
    return (1 - torch.exp(-entropy)) ** FOCUS * entropy
