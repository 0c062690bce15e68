"""MONAI's densely connected network of 121 layers (Huang et al., CVPR 2017)."""

from __future__ import annotations

from monai.networks.nets.densenet import DenseNet121
from torch import nn

from wardround_client.networks._layers import monai_norm
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    return DenseNet121(spatial_dims=dims, in_channels=channels, out_channels=outputs, norm=monai_norm(norm))


NETWORK = Network(_build, "densely connected network of 121 layers, 7 million weights")
