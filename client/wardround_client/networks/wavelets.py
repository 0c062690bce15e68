"""A fixed front end: what a network can know of an image before it has seen a patient.

Tramèr and Boneh (*Differentially private learning needs better features (or much more data)*, ICLR 2021) show that with
few patients and noise a linear classifier on features that nobody trained beats a network that learns its own: noise
grows with the number of parameters. These are the first order of their scattering transform (moduli of Morlet wavelets;
Bruna and Mallat, *Invariant scattering convolution networks*, TPAMI 2013) at four scales, with the image's intensities:
how they are spread over a grid, their moments, and its brightest places at three scales.

Every group of features is normalised within its image, so no number of another image is used. Each image is looked at
by itself and once: what it gives is kept, since the front end never changes, and depends on nobody else in a batch.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import nn
from torch.nn import functional

from wardround_client.networks._network import Network
from wardround_common.study.model import Norm

SCALES, ORIENTATIONS, GRID = 4, 6, 8
SIGMA, FREQUENCY, SLANT = 0.8, 3 * math.pi / 4, 0.5  # pixels, radians a pixel, and the envelope's aspect
RADIUS = math.ceil(3 * SIGMA)
BRIGHTEST = (64, 32, 16, 8, 4)  # the value that one in this many places exceeds, and the maximum
MOST_KEPT = 1 << 16  # images whose features stay in memory
GROUPS = (3, 3 * (len(BRIGHTEST) + 1), 3 * SCALES * ORIENTATIONS, GRID * GRID)  # features of a channel


class WaveletFeatures(nn.Module):
    """Computes the features of images (images, channels, height, width); it has no parameters."""

    kernels: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.count = channels * sum(GROUPS)
        self.register_buffer("kernels", _morlets(), persistent=False)  # nothing to average, and nothing to send
        self._kept: dict[bytes, torch.Tensor] = {}

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (images, count): groups of unit length in each channel."""
        if images.device.type != "cpu" or _traced():
            return self._features(images)  # to look images up by their bytes would wait for the card, and is no graph
        about = f"{images.dtype} {images.device} {tuple(images.shape[1:])}".encode()
        found = []
        for image, row in zip(images, images.cpu().numpy(), strict=True):
            name = hashlib.sha256(about + row.tobytes()).digest()
            if name not in self._kept:
                if len(self._kept) == MOST_KEPT:
                    self._kept.clear()
                self._kept[name] = self._features(image[None])[0]
            found.append(self._kept[name])
        return torch.stack(found)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        height, width = (int(side) for side in images.shape[2:])  # numbers in a traced graph too
        channels = images.reshape(-1, 1, height, width)  # (images · channels, 1, height, width)
        grid = (
            _averages(height) @ channels @ _averages(width).T
            if _traced()
            else functional.adaptive_avg_pool2d(channels, GRID)
        )
        groups = (_moments(channels), _brightest(channels), self._moduli(channels), grid)
        found = torch.cat([_of_unit_length(group.flatten(1)) for group in groups], dim=1)  # (images · channels, …)
        return found.view(-1, sum(GROUPS) * int(images.shape[1]))

    def _moduli(self, images: torch.Tensor) -> torch.Tensor:
        """Return the mean, maximum and spread of each wavelet's modulus at each scale."""
        found = []
        for scale in range(SCALES):
            smaller = functional.avg_pool2d(images, 2**scale)
            padded = functional.pad(smaller, (RADIUS,) * 4, mode="replicate")
            parts = functional.conv2d(padded, self.kernels)  # real parts, then imaginary ones
            real, imaginary = parts[:, :ORIENTATIONS], parts[:, ORIENTATIONS:]
            found.append(_moments((real.square() + imaginary.square() + 1e-12).sqrt()))
        return torch.cat(found, dim=1)


class WaveletClassifier(nn.Module):
    """A linear classifier, zero at first, on fixed features: some three hundred parameters for two classes."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = WaveletFeatures(channels)
        self.classify = nn.Linear(self.features.count, classes)
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (images, classes)."""
        return self.classify(self.features(images))  # type: ignore[no-any-return]


def _traced() -> bool:
    """Tell whether the network is being written down as a graph, and not asked."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]


def _averages(size: int) -> torch.Tensor:
    """Return what adaptive average pooling to a grid multiplies with, (GRID, size): ONNX knows no such pooling."""
    found = torch.zeros(GRID, size)
    for cell in range(GRID):
        first, last = cell * size // GRID, -(-(cell + 1) * size // GRID)
        found[cell, first:last] = 1 / (last - first)
    return found


def _moments(maps: torch.Tensor) -> torch.Tensor:
    """Return mean, maximum and standard deviation of each map: (images, 3 · maps)."""
    return torch.cat([maps.mean((2, 3)), maps.amax((2, 3)), maps.std((2, 3))], dim=1)


def _brightest(images: torch.Tensor) -> torch.Tensor:
    """Return how bright the brightest places of three smaller images are."""
    found = []
    for scale in (1, 2, 3):
        values = functional.avg_pool2d(images, 2**scale).flatten(1).sort(dim=1, descending=True).values
        found += [values[:, place] for place in (0, *(values.shape[1] // part for part in BRIGHTEST))]
    return torch.stack(found, dim=1)  # a list of places would be copied to a card, which would be waited for


def _of_unit_length(group: torch.Tensor) -> torch.Tensor:
    """Take the mean off a group of features, divide by its spread, and bring it to about unit length."""
    centred = group - group.mean(dim=1, keepdim=True)
    return centred / ((group.std(dim=1, keepdim=True) + 1e-3) * math.sqrt(group.shape[1]))


def _morlets() -> torch.Tensor:
    """Return the wavelets as kernels (2 · orientations, 1, size, size): real parts, then imaginary ones."""
    reach = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    waves = []
    for number in range(ORIENTATIONS):
        angle = number * math.pi / ORIENTATIONS
        along, across = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
        envelope = torch.exp(-(along.square() + (SLANT * across).square()) / (2 * SIGMA**2))
        wave = torch.polar(envelope, FREQUENCY * along)
        wave = wave - envelope * (wave.sum() / envelope.sum())  # so that a flat image gives zero
        waves.append(wave * (SLANT / (2 * math.pi * SIGMA**2)))
    stacked = torch.stack(waves).unsqueeze(1)
    return torch.cat([stacked.real, stacked.imag]).to(torch.float32)


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    return WaveletClassifier(channels, outputs)


NETWORK = Network(_build, "fixed wavelet features under a linear classifier, some 300 weights: for few patients")
