"""Networks that a study defines as a MONAI bundle does: a class of MONAI's and its arguments.

What stands in the way of gradients by record is changed as in the networks of the registry: batch normalisation becomes
the study's, and what is added in place is added out of place. Names of weights stay those of the bundle's file.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from wardround_client.networks._layers import BATCH, Copy, renormalised
from wardround_client.networks._network import Network
from wardround_common.errors import StudyError
from wardround_common.messages.link_limits import LinkLimits
from wardround_common.study.bundle import Bundle
from wardround_common.study.model import Norm

_CONVERTED = "wardround_converted"
_MIXING = (*BATCH, nn.SyncBatchNorm)


def network_of(bundle: Bundle) -> Network:
    """Return what a bundle says of its network, as a network's file does."""

    def build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
        network = _without_additions_in_place(_built(bundle))
        count = sum(isinstance(module, _MIXING) for module in network.modules())
        network = renormalised(network, norm, dims, _MIXING)
        setattr(network, _CONVERTED, 0 if norm == "batch" else count)
        return network

    return Network(build, f"{bundle.target} of MONAI, by a bundle", dense=bundle.dense, dims=(bundle.dims,))


def converted(network: nn.Module) -> int:
    """Return how many batch normalisations of a bundle's network are another normalisation here."""
    return sum(getattr(module, _CONVERTED, 0) for module in network.modules())


def _built(bundle: Bundle) -> nn.Module:
    from monai.networks import nets  # here, since it takes two seconds

    made = getattr(nets, bundle.target)
    values = bundle.values
    if "pretrained" in inspect.signature(made).parameters:
        values["pretrained"] = False
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):  # its form alone, without memory
            size = 4 * sum(tensor.numel() for tensor in made(**values).state_dict().values())
        if size > LinkLimits.long_bytes:
            raise ValueError(f"its numbers are {size:,} bytes, and a message carries {LinkLimits.long_bytes:,}")
        network: nn.Module = made(**values)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise StudyError(
            f"MONAI's {bundle.target} cannot be built with the arguments of the bundle '{bundle.name}': "
            f"{type(error).__name__}: {reason}",
            where="[model.bundle]",
            do="Use the bundle with the version of MONAI that is installed here, or another network.",
        ) from error
    return network


def _without_additions_in_place(network: Any) -> nn.Module:
    """Let blocks that add their input in place add it to a copy."""
    from monai.networks.blocks.segresnet_block import ResBlock
    from monai.networks.nets.dynunet import DynUNet
    from monai.networks.nets.resnet import ResNetBlock, ResNetBottleneck

    if isinstance(network, DynUNet):
        return _Called(network)
    for block in network.modules():
        if isinstance(block, ResBlock):
            block.conv2 = nn.Sequential(block.conv2, Copy())
        elif isinstance(block, ResNetBottleneck):
            block.bn3 = nn.Sequential(block.bn3, Copy())
        elif isinstance(block, ResNetBlock):
            block.bn2 = nn.Sequential(block.bn2, Copy())
    whole: nn.Module = network
    return whole


class _Called(nn.Module):
    """A DynUNet with each block under one name: as shipped it holds every one twice, and each would count twice."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.skip_layers, self.output_block = network.skip_layers, network.output_block

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (images, outputs, *size)."""
        return self.output_block(self.skip_layers(images))  # type: ignore[no-any-return]
