"""LIME (Ribeiro et al., KDD 2016): a linear model of what the network says when blocks of the image are made black.

Samples, their weights and the regression are those of its authors' code for images; its superpixels are 8 x 8 blocks.
"""

from __future__ import annotations

import math

import torch
from captum.attr import Lime

from wardround_client.maps.contract import Method, Question
from wardround_client.maps.surrogate import Surrogate, heat_of

WIDTH, RIDGE = 0.25, 1.0


@torch.no_grad()
def _explain(question: Question, images: torch.Tensor) -> torch.Tensor:
    fitted = Lime(question.score, Surrogate(RIDGE), _nearness, perturb_func=_drawn)
    return heat_of(fitted, images)


def _drawn(images: torch.Tensor, **told: int) -> torch.Tensor:
    """Draw which blocks stay: each with probability one half."""
    return (torch.rand(1, told["num_interp_features"]) < 0.5).long().to(images.device)


def _nearness(_: object, __: object, stays: torch.Tensor, **told: object) -> torch.Tensor:
    """Weigh a sample by the cosine between what stays and the whole image."""
    apart = 1 - math.sqrt(float(stays.float().mean()))
    return torch.tensor([math.sqrt(math.exp(-(apart**2) / WIDTH**2))])


METHOD = Method(
    _explain, "what each of 8 x 8 blocks adds to the answer, by a linear model of 512 images that lack some of them"
)
