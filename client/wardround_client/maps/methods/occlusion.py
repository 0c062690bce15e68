"""Occlusion (Zeiler and Fergus, ECCV 2014): how far the answer falls when a part of the image is made black."""

from __future__ import annotations

import torch
from captum.attr import Occlusion

from wardround_client.maps.contract import BLOCKS, TOGETHER, Method, Question


@torch.no_grad()
def _explain(question: Question, images: torch.Tensor) -> torch.Tensor:
    window = [max(extent // BLOCKS, 1) for extent in images.shape[2:]]
    found = Occlusion(question.score).attribute(
        images,
        (images.shape[1], *window),
        (1, *(max(extent // 2, 1) for extent in window)),
        baselines=0.0,
        perturbations_per_eval=TOGETHER,
    )
    heat: torch.Tensor = found.mean(1).cpu().float()  # all channels are covered together
    return heat


METHOD = Method(
    _explain,
    "how far the answer falls where a window of an eighth of the image's side is made black",
)
