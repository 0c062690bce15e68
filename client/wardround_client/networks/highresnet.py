"""MONAI's HighResNet (Li et al., IPMI 2017): outlines at full resolution, by widening views and without levels."""

from __future__ import annotations

from monai.networks.nets.highresnet import HighResNet
from torch import nn

from wardround_client.networks._layers import INSTANCE, renormalised
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    network = HighResNet(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=outputs,
        norm_type=("instance", {"affine": True}),
        acti_type=("relu", {"inplace": False}),
    )
    # Its normalisations are over what goes into each convolution, the image itself among them: one channel, one group.
    return renormalised(network, norm, dims, INSTANCE)


NETWORK = Network(_build, "residual network at full resolution with widening views, 0.3 million weights", dense=True)
