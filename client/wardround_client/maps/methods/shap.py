"""Kernel SHAP (Lundberg and Lee, NeurIPS 2017): Shapley values of blocks of the image, estimated by a regression."""

from __future__ import annotations

import torch
from captum.attr import KernelShap

from wardround_client.maps.contract import Method, Question
from wardround_client.maps.surrogate import Surrogate, heat_of


@torch.no_grad()
def _explain(question: Question, images: torch.Tensor) -> torch.Tensor:
    fitted = KernelShap(question.score)
    fitted.interpretable_model = Surrogate(0.0)
    return heat_of(fitted, images)


METHOD = Method(
    _explain,
    "each of 8 x 8 blocks' Shapley value, estimated on 512 images; together they are the difference from a black image",
)
