"""What a model says about each image, checked before it is summed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import ModelError


def findings(classes: int) -> tuple[int, ...]:
    """Name the classes that are judged one against the rest: (1,) of two, all of more."""
    return (1,) if classes == 2 else tuple(range(classes))


def check_scores(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> None:
    """Refuse labels int (images,) and probabilities (images, classes) that no metric can be computed from.

    Raises:
        ModelError: the shapes do not fit, a label is no class, or a probability is not a number from 0 to 1; a model
            whose training diverged is the usual cause.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or labels.shape != probabilities.shape[:1]:
        raise ModelError(f"labels {labels.shape} and probabilities {probabilities.shape} do not fit each other")
    if labels.dtype.kind not in "iu" or not np.all((labels >= 0) & (labels < probabilities.shape[1])):
        raise ModelError(f"a label is not one of the {probabilities.shape[1]} classes")
    if not np.all((probabilities >= 0) & (probabilities <= 1)):  # NaN fails too
        raise ModelError(
            "the model's scores are not probabilities from 0 to 1", do="Training diverged? Lower the learning rate."
        )
