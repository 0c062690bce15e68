"""MONAI's MedNeXt (Roy et al., MICCAI 2023): a U-Net of ConvNeXt blocks, half as wide as its smallest."""

from __future__ import annotations

from monai.networks.nets.mednext import MedNeXt
from torch import nn

from wardround_client.networks._layers import renormalised
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    network = MedNeXt(spatial_dims=dims, init_filters=16, in_channels=channels, out_channels=outputs)
    return renormalised(network, norm, dims, (nn.GroupNorm,))


NETWORK = Network(_build, "U-Net of ConvNeXt blocks, five levels, 1.4 million weights", dense=True)
