"""MONAI's plain U-Net of five levels, two convolutions each (Falk et al., Nature Methods 2019)."""

from __future__ import annotations

from monai.networks.nets.basic_unet import BasicUNet
from torch import nn

from wardround_client.networks._layers import monai_norm
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    return BasicUNet(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=outputs,
        act=("LeakyReLU", {"negative_slope": 0.1}),
        norm=monai_norm(norm),
    )


NETWORK = Network(
    _build,
    "plain U-Net of five levels, 2.0 million weights in 2D, 5.7 in 3D",
    dense=True,
    dims=(2, 3),
)
