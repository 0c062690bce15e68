"""The learning rate of a round."""

from __future__ import annotations

import math

from wardround_common.errors import StudyError
from wardround_common.study.training import Training


def reach(training: Training, round_number: int) -> float:
    """Return how far a hospital's steps of a round go together, of a study that states them: their number times rate.

    Raises:
        StudyError: it states none.
    """
    if training.local_steps is None:
        raise StudyError("a round of this study is no stated number of steps")
    return training.local_steps * learning_rate(training, round_number)


def learning_rate(training: Training, round_number: int) -> float:
    """Return the learning rate of a round, counted from 1: constant, or a cosine down to a hundredth."""
    if training.schedule == "constant" or training.rounds == 1:
        return training.learning_rate
    progress = (round_number - 1) / (training.rounds - 1)
    return training.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
