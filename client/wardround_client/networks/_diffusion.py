"""A diffusion model of the latent numbers of an auto-encoder: what their prior leaves open, learnt from noise.

Ho, Jain and Abbeel, *Denoising diffusion probabilistic models*, NeurIPS 2020, in the place where Rombach et al. (CVPR
2022, *latent diffusion*) put it: noise is added to the latent numbers of an image, and a small network learns to take
it away. It predicts the velocity (Salimans and Ho, ICLR 2022) of what is left once the mean of the class is taken off.
Where the latent numbers are distributed as the auto-encoder's prior says, that velocity is 0 on average: its last layer
begins at 0, so that what is drawn before the first step is the prior.

No gradient of it reaches the encoder. In a training pass levels and noise are drawn for each image anew from torch's
generator; otherwise they are the same for every image. Nothing of one image depends on another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from wardround_client.networks._vae import VariationalAutoEncoder, class_means

if TYPE_CHECKING:
    from monai.networks.schedulers.ddim import DDIMScheduler

LEVELS = 200
"""Of noise, and steps by which an image is drawn, one each: with fewer, MONAI's steps do not meet the levels it lists
(``findings/monai-ddim-steps.sh``). By this many the prior comes out one per cent too narrow."""
TRIED = 8
"""Levels of noise at which the latent numbers of an image are tried in a pass, which cost next to nothing and lower the
variance of a gradient (Dockhorn et al., *Differentially private diffusion models*, TMLR 2023, section 3.2)."""
WIDTH = 64


class LatentDiffusion(nn.Module):
    """An auto-encoder, and beside it what draws its latent numbers for each of ``classes`` classes."""

    INSIDE = "autoencoder"

    def __init__(self, autoencoder: VariationalAutoEncoder, classes: int) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.denoiser = Denoiser(autoencoder.latent, classes)
        self.steps = schedule()
        fixed = torch.randn(TRIED, autoencoder.latent, generator=torch.Generator().manual_seed(0))
        self.register_buffer("tried", fixed, persistent=False)
        self.register_buffer("means", class_means(classes, autoencoder.latent), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the auto-encoder says, and after it :meth:`errors` of the latent numbers (images, classes)."""
        said, latent = self.autoencoder.judged(images)
        return torch.cat([said, self.errors(latent.detach())], dim=1)

    def errors(self, latent: torch.Tensor) -> torch.Tensor:
        """Return half the squared error of the velocity of latent numbers (images, latent), the mean over levels.

        For each class that they may be of: (images, classes).
        """
        # never in less, also under autocast: MONAI's schedule keeps the precision that it was last asked in
        latent = latent.to(torch.promote_types(latent.dtype, torch.float32))
        means = self.get_buffer("means").to(latent)
        images, classes = len(latent), len(means)
        if self.training:
            levels = (torch.rand(images, TRIED, dtype=latent.dtype, device=latent.device) * LEVELS).long()
            noise = torch.randn(images, TRIED, latent.shape[1], dtype=latent.dtype, device=latent.device)
        else:
            levels = torch.linspace(0, LEVELS - 1, TRIED, device=latent.device).long().expand(images, -1)
            noise = self.get_buffer("tried").to(latent).expand(images, -1, -1)
        left = (latent[:, None] - means).repeat_interleave(TRIED, dim=1)  # (images, classes · TRIED, latent)
        levels, noise = levels.repeat(1, classes), noise.repeat(1, classes, 1)
        kinds = torch.arange(classes, device=latent.device).repeat_interleave(TRIED).expand(images, -1)
        said = self.denoiser(self.steps.add_noise(left, noise, levels), self.kept(levels), kinds)
        wrong = (said - self.steps.get_velocity(left, noise, levels)).square().sum(dim=2) / 2
        errors: torch.Tensor = wrong.view(images, classes, TRIED).mean(dim=2)
        return errors

    def kept(self, levels: torch.Tensor) -> torch.Tensor:
        """Return the part of the variance that is no noise at each level."""
        kept: torch.Tensor = self.steps.alphas_cumprod.to(levels.device)[levels]
        return kept

    def decode(self, latent: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return images (images, channels, *size) from 0 to 1 that are made from latent numbers (images, latent)."""
        return self.autoencoder.decode(latent, size)

    def drawn(self, noise: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
        """Return latent numbers of classes ``kinds`` (images,) from noise (images, latent), each from its own.

        A deterministic map (Song, Meng and Ermon, *Denoising diffusion implicit models*, ICLR 2021).
        """

        def velocity(noisy: torch.Tensor, level: int) -> torch.Tensor:
            kept = self.kept(torch.full((len(noisy), 1), level, device=noisy.device))
            said: torch.Tensor = self.denoiser(noisy[:, None], kept, kinds[:, None])[:, 0]
            return said

        return self.get_buffer("means")[kinds] + denoised(velocity, noise)


class Denoiser(nn.Module):
    """Says which way the noise lies in latent numbers whose class mean is taken off."""

    def __init__(self, latent: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(
            nn.Linear(latent + 2 + classes, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU()
        )
        self.last = nn.Linear(WIDTH, latent)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, noisy: torch.Tensor, kept: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
        """Return the velocity of ``noisy`` (images, several, latent), of classes ``kinds`` (images, several).

        ``kept`` (images, several): the part of the variance that is no noise.
        """
        kept = kept.to(noisy)[..., None]
        of = functional.one_hot(kinds, self.classes).to(noisy)
        velocity: torch.Tensor = self.last(self.layers(torch.cat([noisy, kept.sqrt(), (1 - kept).sqrt(), of], dim=2)))
        return velocity


def schedule() -> DDIMScheduler:
    """Return MONAI's schedule of the noise, the cosine of Nichol and Dhariwal (ICML 2021), by velocity."""
    from monai.networks.schedulers.ddim import DDIMScheduler

    return DDIMScheduler(LEVELS, "cosine", clip_sample=False, prediction_type="v_prediction")


def denoised(velocity: Callable[[torch.Tensor, int], torch.Tensor], noise: torch.Tensor) -> torch.Tensor:
    """Take the noise away from ``noise`` (images, latent) level by level, by its ``velocity`` at a level."""
    steps = schedule()
    for level in steps.timesteps.tolist():
        noise, _ = steps.step(velocity(noise, level), level, noise)
    return noise
