"""MONAI's Attention U-Net (Oktay et al., MIDL 2018), with the study's normalisation in the place of its own."""

from __future__ import annotations

from monai.networks.nets.attentionunet import AttentionUnet
from torch import nn

from wardround_client.networks._layers import BATCH, INSTANCE, renormalised
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    network = AttentionUnet(
        spatial_dims=dims, in_channels=channels, out_channels=outputs, channels=(16, 32, 64, 128), strides=(2, 2, 2)
    )
    # It takes no normalisation: batch normalisation is written into its blocks, instance normalisation into its joins.
    return renormalised(network, norm, dims, (*BATCH, *INSTANCE))


NETWORK = Network(
    _build,
    "U-Net of four levels with attention gates, 0.5 million weights in 2D, 1.5 in 3D",
    dense=True,
    dims=(2, 3),
)
