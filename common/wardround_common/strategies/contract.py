"""What a strategy is: its keys of ``[training]``, its words, and a step from the mean update to the next model.

A strategy is a value, ``STRATEGY``, in a file of its own in this package. It changes nothing else: the study file knows
its keys, its errors and its words from here, and the coordinator takes its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector

Values = Mapping[str, float]
"""The values of a strategy's keys."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What a strategy remembers of the mean updates from round to round, (parameters,) float64 each or empty."""

    first: NDArray[np.float64] = field(repr=False)
    second: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Key:
    """One key of ``[training]`` that belongs to strategies."""

    name: str
    kind: Any
    """The type that pydantic checks it by, such as ``section.Positive``."""
    example: float
    reason: str
    """What it does, for the line above it in a new study; which strategies use it is said before."""


Step = Callable[[Values, Moments | None, Vector, NDArray[np.float64]], tuple[Moments | None, Vector]]
"""From the keys, what is remembered, parameters (parameters,) and the mean update to what is remembered and the next
parameters float32."""


def _nothing(values: Values, size: int) -> Moments | None:
    return None


@dataclass(frozen=True)
class Strategy:
    """How the hospitals' updates become the next model."""

    name: str
    words: str
    """What the coordinator does with the updates, after "The coordinator"."""
    step: Step
    begin: Callable[[Values, int], Moments | None] = _nothing
    """What is remembered before the first round, of a number of parameters."""
    keys: tuple[Key, ...] = ()
    words_of_a_step: str = ""
    """The same where a round is one step, from the sum of gradients."""
    not_of_a_step: str = ""
    """Why it means nothing there, and what to write instead; empty where it can be used."""
    proximal: str | None = None
    """Its key by which a hospital's local work is held to the round's first parameters, if it has one: the weight of
    half the squared distance (``fedprox``)."""
