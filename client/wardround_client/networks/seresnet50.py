"""MONAI's residual network of 50 layers with squeeze and excitation (Hu et al., CVPR 2018)."""

from __future__ import annotations

from monai.networks.nets.senet import SEResNet50
from torch import nn

from wardround_client.networks._layers import BATCH, renormalised
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    network = SEResNet50(spatial_dims=dims, in_channels=channels, num_classes=outputs, pretrained=False)
    return renormalised(network, norm, dims, BATCH)  # batch normalisation is written into it


NETWORK = Network(_build, "residual network of 50 layers with squeeze and excitation, 26 million weights")
