"""The learning rate of a round."""

from __future__ import annotations

import math

from wardround_common.study.file import Training


def learning_rate(training: Training, round_number: int) -> float:
    """Return the learning rate of a round, counted from 1: constant, or a cosine down to a hundredth."""
    if training.schedule == "constant" or training.rounds == 1:
        return training.learning_rate
    progress = (round_number - 1) / (training.rounds - 1)
    return training.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
