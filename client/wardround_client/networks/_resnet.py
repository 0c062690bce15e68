"""MONAI's residual networks, without additions in place."""

from __future__ import annotations

from collections.abc import Callable

from monai.networks.nets import resnet
from torch import nn

from wardround_client.networks._layers import Copy, monai_norm
from wardround_client.networks._network import Build
from wardround_common.study.model import Norm


def residual(make: Callable[..., nn.Module]) -> Build:
    """Return how to build one of MONAI's residual networks (He et al., CVPR 2016)."""

    def build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
        network = make(spatial_dims=dims, n_input_channels=channels, num_classes=outputs, norm=monai_norm(norm))
        for block in network.modules():
            # A block adds its shortcut in place to its last normalisation's output. The copy makes no difference to
            # gradients, and names the weights as in the models that hospitals keep.
            if isinstance(block, resnet.ResNetBottleneck):
                block.bn3 = nn.Sequential(block.bn3, Copy())
            elif isinstance(block, resnet.ResNetBlock):
                block.bn2 = nn.Sequential(block.bn2, Copy())
        return network

    return build
