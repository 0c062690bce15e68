"""Integrated gradients (Sundararajan et al., ICML 2017): gradients summed on the way from an even grey to the image.

The way begins at the image's own mean, and not at black, which is the usual choice: a network that normalises each
image (group, instance) says the same of an image and of a darker copy, so that on the way from black its answer jumps
at the first step, where no sum of gradients sees it.
"""

from __future__ import annotations

import torch
from captum.attr import IntegratedGradients

from wardround_client.maps.contract import TOGETHER, Method, Question
from wardround_common.errors import StudyError

STEPS = 100


def _explain(question: Question, images: torch.Tensor) -> torch.Tensor:
    _check_gradient(question, images)
    found = IntegratedGradients(question.score).attribute(
        images, baselines=even(images), n_steps=STEPS, internal_batch_size=TOGETHER
    )
    heat: torch.Tensor = found.sum(1).detach().cpu().float()
    return heat


def even(images: torch.Tensor) -> torch.Tensor:
    """Return images of which each channel is its mean all over."""
    space = tuple(range(2, images.ndim))
    return images.mean(space, keepdim=True).expand_as(images).clone()


def _check_gradient(question: Question, images: torch.Tensor) -> None:
    """Refuse a network whose front end is fixed: its answer changes with the image, and no gradient says how.

    Raises:
        StudyError: it has no gradient.
    """
    asked = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(question.score(asked).sum(), asked, allow_unused=True)
    if gradient is None:
        raise StudyError(
            "this network passes no gradient back to the image, of which integrated gradients are made",
            do="Choose occlusion, lime or shap with --method.",
        )


METHOD = Method(
    _explain,
    "which pixels raise or lower the answer against that of an even grey; the values add up to the difference",
)
