"""What hospitals add up once, before the first round, where the study asks: classes, intensities, or both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.metrics.class_counts import ClassCounts
from wardround_common.metrics.intensities import Intensities, NoisyIntensities
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd

INPUT_TENSORS = {"input_mean": "mean", "input_deviation": "deviation"}
"""The tensors of a network that standardises its input, and the figure of :class:`Intensities` that each holds."""


def asks_before(study: Study) -> bool:
    """Tell whether a study adds anything up before its first round.

    One that starts from a released model has that model's intensities.
    """
    return study.training.count_classes or asks_intensities(study)


def asks_intensities(study: Study) -> bool:
    """Tell whether intensities are among it."""
    return study.data.normalisation is not None and study.model.start is None


@dataclass(frozen=True)
class Before:
    """Sums over training patients; None of what the study does not ask for."""

    classes: ClassCounts | None
    intensities: Intensities | NoisyIntensities | None
    """With noise under differential privacy."""

    @classmethod
    def empty(cls, study: Study) -> Before:
        """Return the sums over nobody."""
        none = (0,) * study.data.inputs
        classes = ClassCounts((0,) * len(study.groups)) if study.training.count_classes else None
        if not asks_intensities(study):
            return cls(classes, None)
        noisy = isinstance(study.privacy, DpSgd)
        nobody = NoisyIntensities(0, np.zeros(1 + 2 * len(none), np.int64)) if noisy else Intensities(0, none, none)
        return cls(classes, nobody)

    @property
    def records(self) -> int:
        """How many images were counted, or patients, whichever is less."""
        counted = [] if self.classes is None else [self.classes.records]
        return min([*counted, *([] if self.intensities is None else [self.intensities.patients])])

    def __add__(self, other: Before) -> Before:
        """Add the sums of other hospitals of the same study."""
        classes = self.classes + other.classes if self.classes and other.classes else None
        intensities: Intensities | NoisyIntensities | None = None
        match self.intensities, other.intensities:
            case Intensities() as ours, Intensities() as theirs:
                intensities = ours + theirs
            case NoisyIntensities() as ours, NoisyIntensities() as theirs:
                intensities = ours + theirs
        return Before(classes, intensities)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as one vector, whose length the study gives."""
        return np.concatenate([part.to_vector() for part in (self.classes, self.intensities) if part is not None])

    def mean_loss(self) -> float | None:
        """Return None: nothing is judged."""
        return None

    @classmethod
    def read(cls, vector: NDArray[np.int64] | NDArray[np.float64], study: Study) -> Before:
        """Read the sums of a study from their vector, which may come from anybody.

        Raises:
            MessageError: these are none.
        """
        shape = cls.empty(study)
        if vector.shape != shape.to_vector().shape:
            raise MessageError("these are not the sums that the study needs before its first round")
        cut = len(study.groups) if shape.classes else 0
        return cls(
            ClassCounts.read(vector[:cut], cut) if shape.classes else None,
            type(shape.intensities).read(vector[cut:], study.data.inputs) if shape.intensities else None,
        )
