"""Grad-CAM (Selvaraju et al., ICCV 2017): the network's last map, each channel weighted by its mean gradient."""

from __future__ import annotations

import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import nn

from wardround_client.maps.contract import Method, Question
from wardround_common.errors import StudyError


def _explain(question: Question, images: torch.Tensor) -> torch.Tensor:
    layer = last_map(question.network, images)
    found = LayerGradCam(question.score, layer).attribute(images, relu_attributions=True)
    heat: torch.Tensor = LayerAttribution.interpolate(found, tuple(images.shape[2:]), "bilinear")[:, 0].detach().cpu()
    return heat


def last_map(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return the last layer whose output still has places, (images, channels, *space) with more than one of them.

    Raises:
        StudyError: no layer has.
    """
    seen: list[nn.Module] = []

    def note(layer: nn.Module, _: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == images.ndim and output[0, 0].numel() > 1:
            seen.append(layer)

    hooks = [layer.register_forward_hook(note) for layer in network.modules() if not any(layer.children())]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise StudyError(
            "this network has no layer on which this could be drawn: none has an output with places",
            do="Choose occlusion, lime or shap with --method.",
        )
    return seen[-1]


METHOD = Method(
    _explain,
    "where the network's last map speaks for the class; coarse, and what speaks against it is left out",
)
