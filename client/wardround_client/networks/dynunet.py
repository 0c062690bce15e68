"""MONAI's DynUNet, the network of nnU-Net (Isensee et al., Nature Methods 2021), with each block under one name.

As shipped it holds every block twice, in lists by kind and in the nested layers that its forward pass calls: Opacus
would count each twice. What is called is kept, and the lists are left out.
"""

from __future__ import annotations

from monai.networks.nets.dynunet import DynUNet
from torch import nn

from wardround_client.networks._layers import monai_norm
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm

WIDTHS = (32, 64, 128, 256, 320)


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    strides = (1, *(2 for _ in WIDTHS[1:]))
    network = DynUNet(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=outputs,
        kernel_size=[3] * len(WIDTHS),
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=WIDTHS,
        norm_name=monai_norm(norm),
    )
    return nn.Sequential(network.skip_layers, network.output_block)


NETWORK = Network(
    _build,
    "nnU-Net's network of five levels, 5.7 million weights in 2D, 17 in 3D",
    dense=True,
    dims=(2, 3),
)
