"""MONAI's SegResNet without its autoencoder (Myronenko, BrainLes 2018), without additions in place."""

from __future__ import annotations

from monai.networks.blocks.segresnet_block import ResBlock
from monai.networks.nets.segresnet import SegResNet
from torch import nn

from wardround_client.networks._layers import Copy, monai_norm
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    network = SegResNet(
        spatial_dims=dims, init_filters=16, in_channels=channels, out_channels=outputs, norm=monai_norm(norm)
    )
    for block in network.modules():
        if isinstance(block, ResBlock):  # adds its input in place to its last convolution's output
            block.conv2 = nn.Sequential(block.conv2, Copy())
    return network


NETWORK = Network(
    _build,
    "residual encoder with a light decoder, four levels, 1.6 million weights in 2D, 4.7 in 3D",
    dense=True,
    dims=(2, 3),
)
