"""The steps of a study's optimiser, by the functions that torch's own optimisers call.

The classes of ``torch.optim`` import torch's compiler as soon as one is made. That takes longer than importing torch,
in each process that trains, and nothing here is compiled; the functions do without.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from wardround_common.study.training import Training

BETAS = 0.9, 0.99
"""Of AdamW: its state is fresh in each round, so its memory is short."""
EPSILON = 1e-8
"""Of AdamW, which torch has by default."""


class Optimiser(Protocol):
    """What changes weights by their gradients."""

    def zero_grad(self) -> None:
        """Drop the gradients."""

    def step(self) -> None:
        """Change each weight that has a gradient."""


def optimiser_of(training: Training, weights: Iterable[torch.Tensor], rate: float) -> Optimiser:
    """Return the optimiser that a study names, at the learning rate of a round, for weights that it then changes."""
    if training.optimiser == "adamw":
        return _AdamW(weights, rate, training.weight_decay)
    return _Sgd(weights, rate, training.momentum, training.weight_decay)


class _Steps:
    def __init__(self, weights: Iterable[torch.Tensor], rate: float) -> None:
        self._weights = list(weights)
        self._rate = rate

    def zero_grad(self) -> None:
        for weight in self._weights:
            weight.grad = None

    def _moved(self) -> tuple[list[int], list[torch.Tensor], list[torch.Tensor]]:
        """Return the places of the weights that have a gradient, these weights, and their gradients."""
        moved = [(place, weight, weight.grad) for place, weight in enumerate(self._weights) if weight.grad is not None]
        return [place for place, _, _ in moved], [weight for _, weight, _ in moved], [grad for _, _, grad in moved]


class _Sgd(_Steps):
    def __init__(self, weights: Iterable[torch.Tensor], rate: float, momentum: float, decay: float) -> None:
        super().__init__(weights, rate)
        self._momentum, self._decay = momentum, decay
        self._velocity: dict[int, torch.Tensor | None] = {}

    @torch.no_grad()
    def step(self) -> None:
        places, weights, gradients = self._moved()
        velocities = [self._velocity.get(place) for place in places]
        sgd(
            weights,
            gradients,
            velocities,  # those of a first step are put in
            weight_decay=self._decay,
            momentum=self._momentum,
            lr=self._rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        self._velocity.update(zip(places, velocities, strict=True))


class _AdamW(_Steps):
    def __init__(self, weights: Iterable[torch.Tensor], rate: float, decay: float) -> None:
        super().__init__(weights, rate)
        self._decay = decay
        self._means: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        places, weights, gradients = self._moved()
        for place, weight in zip(places, weights, strict=True):
            if place not in self._means:
                self._means[place] = torch.zeros_like(weight), torch.zeros_like(weight), torch.zeros(())
        of = [self._means[place] for place in places]
        adam(
            weights,
            gradients,
            [mean for mean, _, _ in of],
            [square for _, square, _ in of],
            [],
            [steps for _, _, steps in of],
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self._rate,
            weight_decay=self._decay,
            eps=EPSILON,
            maximize=False,
            decoupled_weight_decay=True,
        )
