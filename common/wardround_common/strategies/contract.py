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
class Variates:
    """Control variates by which the steps of hospitals are corrected (``scaffold``).

    A hospital keeps one, and adds ``control - own`` to the gradient of each of its steps; the coordinator has their
    mean, in the first of its moments, and sends it. *reach* is the number of a round's steps times their rate.
    """

    own: Callable[[Vector, Vector, NDArray[np.float64], float], Vector]
    """From a hospital's own, the mean over hospitals, its update as it was sent and the reach to its next one."""
    shared: Callable[[NDArray[np.float64], NDArray[np.float64], float, int, int, int], NDArray[np.float64]]
    """From the mean over hospitals, the mean update and the reach to the next mean; then how many hospitals the update
    is of, how many were ever counted before it, and how many are with it."""
    work: str
    """What hospitals do, as sentences."""
    stays: str
    """What never leaves, as sentences."""
    private: str
    """How that stands to epsilon under differential privacy with local noise, as sentences."""


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
    variates: Variates | None = None
    """How hospitals' steps are corrected by what each keeps from round to round, if they are."""
    proximal: str | None = None
    """Its key by which a hospital's local work is held to the round's first parameters, if it has one: the weight of
    half the squared distance (``fedprox``)."""
