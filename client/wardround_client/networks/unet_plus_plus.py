"""MONAI's U-Net++ (Zhou et al., DLMIA 2018): each level's maps are joined with all finer ones before them.

Only its last output is used. As shipped it holds three more, of which nothing would train the weights.
"""

from __future__ import annotations

import torch
from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus
from torch import nn

from wardround_client.networks._layers import monai_norm
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm

WIDTHS = (16, 16, 32, 64, 128, 16)


class LastOutput(nn.Module):
    """The network with the one output that a study uses."""

    def __init__(self, network: BasicUNetPlusPlus) -> None:
        super().__init__()
        for spare in ("final_conv_0_1", "final_conv_0_2", "final_conv_0_3"):
            setattr(network, spare, nn.Identity())
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (images, outputs, *size)."""
        return self.network(images)[-1]  # type: ignore[no-any-return]


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    network = BasicUNetPlusPlus(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=outputs,
        features=WIDTHS,
        act=("LeakyReLU", {"negative_slope": 0.1}),
        norm=monai_norm(norm),
    )
    return LastOutput(network)


NETWORK = Network(_build, "U-Net++ of five levels, 0.6 million weights", dense=True)
