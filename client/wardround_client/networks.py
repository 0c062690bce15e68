"""The networks that a study can name, each with a normalisation that it states.

Batch normalisation mixes the images of a batch and keeps running means, which makes it neither private nor easy to
average (Hsieh et al., *The non-IID data quagmire*, ICML 2020): group normalisation (Wu and He, ECCV
2018) is the default.
MONAI builds the larger networks and is imported only when one of them is asked for, since that takes two seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from wardround_client.wavelets import WaveletClassifier
from wardround_common.messages.parameters import Layout, Vector
from wardround_common.study.file import Norm, Study

_SEEDING = threading.Lock()  # torch has one generator for all threads


def build(study: Study) -> nn.Module:
    """Build the study's network; the study's seed alone decides its first parameters.

    Input: (images, channels, image_size, image_size) float32 from 0 to 1. Output: (images, classes) logits.
    """
    with seeded(study.model.seed):
        network = NETWORKS[study.model.network](study.data.channels, study.outputs, study.model.norm)
    for name, module in list(network.named_modules()):
        if hasattr(module, "inplace"):
            module.inplace = False  # per-patient gradients need each layer's input as it was
        if isinstance(module, nn.BatchNorm2d) and study.model.norm != "batch":
            # MONAI's ResNet keeps batch normalisation in its shortcuts whatever norm it is given.
            network.set_submodule(name, _norm_layer(study.model.norm, module.num_features))
    return network


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw from ``seed``, alone in this process; afterwards its generator goes on as if nothing had been."""
    with _SEEDING:
        rng_state = torch.get_rng_state()
        try:
            torch.manual_seed(seed)
            yield
        finally:
            torch.set_rng_state(rng_state)


def layout_of(network: nn.Module) -> Layout:
    """Name the floating-point tensors of a network, buffers included, in their order."""
    tensors = _tensors(network)
    return Layout(tuple(tensors), tuple(tuple(tensor.shape) for tensor in tensors.values()))


def read_vector(network: nn.Module) -> Vector:
    """Copy the network's parameters into one vector (parameters,) float32."""
    parts = [tensor.detach().reshape(-1).to("cpu", torch.float32) for tensor in _tensors(network).values()]
    return torch.cat(parts).numpy()


def write_vector(network: nn.Module, layout: Layout, vector: Vector) -> None:
    """Copy a vector (parameters,) float32 into the network."""
    tensors = _tensors(network)
    flat = torch.from_numpy(np.ascontiguousarray(vector)).to(next(iter(tensors.values())).device)
    with torch.no_grad():
        for name, shape, part in layout.slices():
            tensors[name].copy_(flat[part].view(shape))


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    # BatchNorm's count of batches is an integer: it steers a running mean and means nothing when averaged.
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}


def _norm_layer(norm: Norm, channels: int) -> nn.Module:
    match norm:
        case "group":
            return nn.GroupNorm(min(8, channels // 4), channels)
        case "instance":
            return nn.InstanceNorm2d(channels, affine=True)
        case "batch":
            return nn.BatchNorm2d(channels)


class _PlainCnn(nn.Module):
    """Four convolutions, each followed by a normalisation; mean and maximum over the last map; one linear layer.

    The maximum finds what is small, the mean what is wide.
    """

    def __init__(self, channels: int, classes: int, norm: Norm, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        one, two, three, four = widths
        self.features = nn.Sequential(
            *_convolution(channels, one, norm, kernel=5, stride=2),
            *_convolution(one, two, norm),
            nn.MaxPool2d(2),
            *_convolution(two, three, norm),
            nn.MaxPool2d(2),
            *_convolution(three, four, norm),
        )
        self.classify = nn.Linear(2 * four, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.features(images)  # (images, widths[3], size / 8, size / 8)
        return self.classify(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))  # type: ignore[no-any-return]


def _convolution(before: int, after: int, norm: Norm, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, _norm_layer(norm, after), nn.ReLU()]


def _plain_cnn(*widths: int) -> Callable[[int, int, Norm], nn.Module]:
    one, two, three, four = widths
    return lambda channels, classes, norm: _PlainCnn(channels, classes, norm, (one, two, three, four))


def _monai_norm(norm: Norm, groups: int = 8) -> str | tuple[str, dict[str, int | bool]]:
    match norm:
        case "group":
            return ("group", {"num_groups": groups})
        case "instance":
            return ("instance", {"affine": True})
        case "batch":
            return "batch"


class _Copy(nn.Module):
    """Hands on a copy, so that what follows may add to it in place without touching the layer before."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.clone()


def _resnet(depth: int) -> Callable[[int, int, Norm], nn.Module]:
    def make(channels: int, classes: int, norm: Norm) -> nn.Module:
        from monai.networks.nets import resnet

        build_resnet = {18: resnet.resnet18, 50: resnet.resnet50}[depth]
        network = build_resnet(spatial_dims=2, n_input_channels=channels, num_classes=classes, norm=_monai_norm(norm))
        for block in network.modules():
            # A residual block adds its shortcut in place to its last normalisation's output; Opacus' hooks forbid it.
            if isinstance(block, resnet.ResNetBottleneck):
                block.bn3 = nn.Sequential(block.bn3, _Copy())
            elif isinstance(block, resnet.ResNetBlock):
                block.bn2 = nn.Sequential(block.bn2, _Copy())
        return network

    return make


def _densenet121(channels: int, classes: int, norm: Norm) -> nn.Module:
    from monai.networks.nets.densenet import DenseNet121

    return DenseNet121(spatial_dims=2, in_channels=channels, out_channels=classes, norm=_monai_norm(norm))


def _efficientnet_b0(channels: int, classes: int, norm: Norm) -> nn.Module:
    from monai.networks.nets.efficientnet import EfficientNetBN

    return EfficientNetBN(
        "efficientnet-b0",
        pretrained=False,
        spatial_dims=2,
        in_channels=channels,
        num_classes=classes,
        norm=_monai_norm(norm),
    )


NETWORKS: dict[str, Callable[[int, int, Norm], nn.Module]] = {
    "tiny-cnn": _plain_cnn(8, 16, 32, 64),  # 25 thousand parameters: noise for privacy grows with their number
    "small-cnn": _plain_cnn(16, 32, 64, 128),  # 98 thousand
    "resnet18": _resnet(18),
    "resnet50": _resnet(50),
    "densenet121": _densenet121,
    "efficientnet-b0": _efficientnet_b0,
    "wavelets": lambda channels, classes, norm: WaveletClassifier(channels, classes),  # some 300: for few patients
}
