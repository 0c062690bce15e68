"""HiResCAM (Draelos and Carin, 2020): the network's last map, each place of each channel times its own gradient.

Grad-CAM takes a channel's mean gradient for all places. Where a network pools by the maximum, as ``small-cnn`` does, a
channel's gradient lies at one place, and the mean loses which: this method keeps it.
"""

from __future__ import annotations

import torch
from captum.attr import LayerAttribution, LayerGradientXActivation

from wardround_client.maps.contract import Method, Question
from wardround_client.maps.methods.grad_cam import last_map


def _explain(question: Question, images: torch.Tensor) -> torch.Tensor:
    layer = last_map(question.network, images)
    found = LayerGradientXActivation(question.score, layer).attribute(images).sum(1, keepdim=True)
    heat: torch.Tensor = LayerAttribution.interpolate(found, tuple(images.shape[2:]), "bilinear")[:, 0].detach().cpu()
    return heat


METHOD = Method(
    _explain,
    "what each place of the network's last map adds to the answer or takes from it; coarse",
)
