"""MONAI's U-Net with residual units, in several depths and widths (Kerfoot et al., STACOM 2018)."""

from __future__ import annotations

from monai.networks.nets.unet import UNet
from torch import nn

from wardround_client.networks._layers import INSTANCE, renormalised
from wardround_client.networks._network import Build
from wardround_common.study.model import Norm


def residual_unet(*widths: int, units: int = 2) -> Build:
    """Return how to build one of these widths, from the image down; each level below the first halves the size.

    Heights, widths and depths must be multiples of two to the number of levels below the first.
    """

    def build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
        network = UNet(
            spatial_dims=dims,
            in_channels=channels,
            out_channels=outputs,
            channels=widths,
            strides=(2,) * (len(widths) - 1),
            num_res_units=units,
            norm=("instance", {"affine": True}),
        )
        # Its last normalisation is over as many channels as there are outputs, which no fixed number of groups divides.
        return renormalised(network, norm, dims, INSTANCE)

    return build
