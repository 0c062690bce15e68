"""Fixed features of an image and of its two halves beside each other, brought to few numbers by made images.

Under differential privacy each number that is trained gets noise, so that few good ones beat many (Tramèr and Boneh,
*Differentially private learning needs better features*, ICLR 2021). Bodies are mirrored, and many findings are in one
half alone: beside the features of ``wavelets`` these are how much brighter a place is than the one opposite, how bright
the brightest inside is, spots of four sizes, and how much of the image is filled.

A fixed linear layer brings the features to :data:`KEPT` numbers, and a classifier reads those. From a seed the fixed
layer is random; ``wardround weights learn halves`` computes it from images that nobody took
(:mod:`~wardround_client.prior.sections`): their principal directions, which need no patient and cost no privacy.
Their spreads are made half equal: noise is the same for every number, and so does less harm in those which made
images hardly need. The classifier then begins as the one that tells those images apart.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from wardround_client.networks._network import Computed, Network
from wardround_client.networks.wavelets import GROUPS, WaveletFeatures
from wardround_common.study.model import Norm

KEPT = 16
"""Numbers that the classifier reads."""
MOST = 4.0
"""Spreads of made images which none of them exceeds: an image unlike them all must not outweigh the others."""
BODY = 0.1
"""Brightness above which a place is of the body: images are from 0 to 1."""
RIM = 3
"""Pixels at the body's edge that are no inside: skin, fat and bone are bright."""
SCALES, SPOTS = (2, 4, 8), (1, 2, 4, 8)  # pixels: sides of averaged squares, and standard deviations
FILLED = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
SHARES = (64, 32, 16, 8, 4)  # the value that one in this many places exceeds, beside the maximum
RANKS = 1 + len(SHARES)
OWN = (7 * len(SCALES), 7 * len(SCALES), 13 * len(SPOTS), len(FILLED) + 2)
"""Features of a channel by group: of halves, of the inside, of spots, of the whole."""
START, RIDGE = 4.0, 1e-2
"""Length of the classifier that tells made images apart, and what is added to the spread by which it is computed."""
EVEN = 0.5
"""How far the directions' spreads are made equal: 0 leaves those of made images, 1 makes all one."""


class HalvesFeatures(WaveletFeatures):
    """Computes the features of images (images, channels, height, width); it has no parameters."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.groups = (sum(GROUPS), *OWN) * channels
        self.count = channels * (sum(GROUPS) + sum(OWN))

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        height, width = (int(side) for side in images.shape[2:])
        wavelets = super()._features(images).view(-1, sum(GROUPS))
        body = images.reshape(-1, 1, height, width)
        own = _own(_centred(body), body)
        return torch.cat([wavelets, own], dim=1).view(images.shape[0], self.count)


class HalvesClassifier(Computed):
    """A linear classifier, zero at first, on few directions of fixed features."""

    features: HalvesFeatures

    def __init__(self, channels: int, classes: int, kept: int = KEPT) -> None:
        super().__init__()
        self.features = HalvesFeatures(channels)
        self.project = nn.Linear(self.features.count, kept)
        self.classify = nn.Linear(kept, classes)
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (images, classes)."""
        return self.classify(self.directions(self.features(images)))  # type: ignore[no-any-return]

    def directions(self, features: torch.Tensor) -> torch.Tensor:
        """Return (images, kept) of features (images, count), each between -MOST and MOST."""
        return MOST * torch.tanh(self.project(features) / MOST)

    @torch.no_grad()
    def learn_from(self, features: torch.Tensor, planted: torch.Tensor) -> None:
        """Compute both layers from made images' features (images, count) with 0 or 1 for each.

        The fixed layer: each feature less its mean and by its spread, each group of features of equal weight, along
        the directions in which the images differ most; the mean of the directions' squared spreads is one. The
        classifier: Fisher's discriminant, at a fixed length.
        """
        features = features.double()
        scale = features.std(0)
        parts = scale.split(self.features.groups)  # type: ignore[no-untyped-call]
        middle = torch.cat([part.median().expand(len(part)) for part in parts])
        scale = scale.maximum(1e-3 + 0.05 * middle)  # a feature that hardly varies among them is not blown up
        weight = torch.cat([torch.full((count,), count**-0.5) for count in self.features.groups]).double() / scale
        centred = (features - features.mean(0)) * weight
        values, vectors = torch.linalg.eigh(torch.cov(centred.T))
        kept = self.project.out_features
        values, directions = values[-kept:], vectors[:, -kept:]
        signs = directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()  # a library may turn any round
        spreads = values ** ((1 - EVEN) / 2)
        scale = spreads / spreads.square().mean().sqrt() / values.sqrt()
        project = (directions * signs * scale).T * weight
        self.project.weight.copy_(project)
        self.project.bias.copy_(-project @ features.mean(0))
        seen = self.directions(features.to(self.project.weight.dtype)).double()
        apart = seen[planted == 1].mean(0) - seen[planted == 0].mean(0)
        way = torch.linalg.solve(torch.cov(seen.T) + RIDGE * torch.eye(kept, dtype=torch.float64), apart)
        way = START * way / way.norm()
        scores = seen @ way
        threshold = (scores[planted == 1].mean() + scores[planted == 0].mean()) / 2
        self.classify.weight.copy_(torch.stack([-way / 2, way / 2]))
        self.classify.bias.copy_(torch.stack([threshold / 2, -threshold / 2]))


def _own(centred: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Return what is not of the wavelets (images, sum(OWN)) of one channel, centred and as it is."""
    seen = (centred > BODY).to(centred.dtype)
    level = (centred * seen).sum((1, 2, 3), keepdim=True) / (seen.sum((1, 2, 3), keepdim=True) + 1) + 0.02
    inner = -functional.max_pool2d(-seen, 2 * RIM + 1, 1, RIM)
    halves, inside, spots = [], [], []
    for side in SCALES:
        smaller = functional.avg_pool2d(centred, side) / level
        mask = (functional.avg_pool2d(inner, side) > 0.5).to(centred.dtype)
        apart = (smaller - smaller.flip(3)) * mask * mask.flip(3)
        halves.extend([_ranked(apart.clamp(min=0)), apart.abs().mean((2, 3))])
        inside.extend([_ranked(smaller * mask), mask.mean((2, 3))])
    for size in SPOTS:
        bump = (_blurred(centred, size, 2 * size) - _blurred(centred, 1.6 * size, 3 * size)) / level * inner
        spots.extend([_ranked(bump), _ranked(-bump), bump.std((2, 3))])
    filled = [(whole > share).to(whole.dtype).mean((2, 3)) for share in FILLED]
    return torch.cat([*halves, *inside, *spots, *filled, level.flatten(1), whole.std((2, 3))], dim=1)


def _centred(images: torch.Tensor) -> torch.Tensor:
    """Move each image sideways until its body is as much left as right; beyond the edge the edge goes on."""
    width = int(images.shape[3])
    columns = torch.arange(width, dtype=images.dtype, device=images.device)
    seen = (images > BODY).to(images.dtype).sum((1, 2))  # (images, width)
    middle = ((seen * columns).sum(1) + (width - 1) / 2) / (seen.sum(1) + 1)  # an empty image stays where it is
    wanted = (columns + (middle - (width - 1) / 2)[:, None]).clamp(0, width - 1)  # (images, width)
    share = (1 - (columns[None, :, None] - wanted[:, None, :]).abs()).clamp(min=0)  # (images, from, to)
    return images @ share[:, None]


def _ranked(maps: torch.Tensor) -> torch.Tensor:
    """Return the maximum and what the brightest shares exceed, (images, RANKS)."""
    values = maps.flatten(1).sort(dim=1, descending=True).values
    return values[:, [0, *(values.shape[1] // part for part in SHARES)]]


def _blurred(images: torch.Tensor, size: float, reach: int) -> torch.Tensor:
    places = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-places.square() / (2 * size**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel[None, None, None]), kernel[None, None, :, None])


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    return HalvesClassifier(channels, outputs)


NETWORK = Network(_build, "few fixed directions of an image and its halves, some 34 weights with train = 'head'")
