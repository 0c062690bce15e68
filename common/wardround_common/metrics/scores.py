"""What a model said of each image, beside what was true: the input of every exact metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Labels and a model's probabilities for the images of one group of patients.

    ``labels`` int (images,), class numbers; ``probabilities`` float32 (images, classes); ``patients`` int (images,),
    a code that is the same for the images of one patient and means nothing else. With two classes the second one is
    the finding.

    Raises:
        ModelError: the shapes do not fit, a label is no class, or a probability is not a number from 0 to 1.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    patients: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_scores(self.labels, self.probabilities)
        if self.patients.shape != self.labels.shape or self.patients.dtype.kind not in "iu":
            raise ModelError(f"one whole-number patient code is needed for each of the {len(self.labels)} images")

    @property
    def classes(self) -> int:
        """How many classes the model tells apart."""
        return int(self.probabilities.shape[1])

    @property
    def findings(self) -> tuple[int, ...]:
        """The classes that are judged against the rest: the finding alone of two, or each one of more."""
        return findings(self.classes)

    def __add__(self, other: Scores) -> Scores:
        """Put the images of two groups that share no patient together; patient codes are made distinct."""
        shift = (
            int(self.patients.max()) + 1 - int(other.patients.min())
            if len(self.patients) and len(other.patients)
            else 0
        )
        return Scores(
            labels=np.concatenate([self.labels, other.labels]),
            probabilities=np.concatenate([self.probabilities, other.probabilities]),
            patients=np.concatenate([self.patients, other.patients + shift]),
        )


def findings(classes: int) -> tuple[int, ...]:
    """Name the classes that are judged one against the rest: (1,) of two, all of more."""
    return (1,) if classes == 2 else tuple(range(classes))


def check_scores(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> None:
    """Refuse labels int (images,) and probabilities (images, classes) that no metric can be computed from.

    Raises:
        ModelError: as said in ``Scores``; a model whose training diverged is the usual cause.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or labels.shape != probabilities.shape[:1]:
        raise ModelError(f"labels {labels.shape} and probabilities {probabilities.shape} do not fit each other")
    if labels.dtype.kind not in "iu" or not np.all((labels >= 0) & (labels < probabilities.shape[1])):
        raise ModelError(f"a label is not one of the {probabilities.shape[1]} classes")
    if not np.all((probabilities >= 0) & (probabilities <= 1)):  # NaN fails too
        raise ModelError(
            "the model's scores are not probabilities from 0 to 1", do="Training diverged? Lower the learning rate."
        )
