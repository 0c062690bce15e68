"""Layers that several networks share: the normalisation that a study names, and what keeps additions out of place."""

from __future__ import annotations

import torch
from torch import nn

from wardround_common.study.model import Norm

BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTION = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
POOLING = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVERAGES = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def normalisation(norm: Norm, channels: int, dims: int = 2) -> nn.Module:
    """Return a study's normalisation of this many channels, for images of ``dims`` dimensions.

    Groups have four channels or more, and there are eight at most; where the channels do not divide into eight, there
    are fewer groups.
    """
    match norm:
        case "group":
            most = min(8, max(channels // 4, 1))
            groups = next(count for count in range(most, 0, -1) if channels % count == 0)
            return nn.GroupNorm(groups, channels)
        case "instance":
            return INSTANCE[dims - 1](channels, affine=True)
        case "batch":
            return BATCH[dims - 1](channels)


def renormalised(network: nn.Module, norm: Norm, dims: int, kinds: tuple[type[nn.Module], ...]) -> nn.Module:
    """Put a study's normalisation in the place of each layer of these kinds, and return the network."""
    for name, module in list(network.named_modules()):
        if isinstance(module, kinds):
            channels = module.num_channels if isinstance(module, nn.GroupNorm) else int(module.num_features)  # type: ignore[arg-type]
            network.set_submodule(name, normalisation(norm, channels, dims))
    return network


def monai_norm(norm: Norm, groups: int = 8) -> str | tuple[str, dict[str, int | bool]]:
    """Say a study's normalisation in MONAI's words; the channels of every layer must divide into the groups."""
    match norm:
        case "group":
            return ("group", {"num_groups": groups})
        case "instance":
            return ("instance", {"affine": True})
        case "batch":
            return "batch"


class Copy(nn.Module):
    """Hands on a copy, so that what follows may add to it in place without touching the layer before."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return a copy."""
        return values.clone()
