"""MONAI's EfficientNet B0 (Tan and Le, ICML 2019)."""

from __future__ import annotations

from monai.networks.nets.efficientnet import EfficientNetBN
from torch import nn

from wardround_client.networks._layers import monai_norm
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    return EfficientNetBN(
        "efficientnet-b0",
        pretrained=False,
        spatial_dims=dims,
        in_channels=channels,
        num_classes=outputs,
        norm=monai_norm(norm),
    )


NETWORK = Network(_build, "EfficientNet B0, 4 million weights")
