"""Sums of clipped gradients in which each hospital has a share of the noise (docs/distributed-privacy.md).

What hospitals and coordinator must agree on: how many levels a clip norm has, how many survivors a sum must have, how
much noise each of them adds, and what an opened sum means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import PrivacyError
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd

RING_BITS = 32
MOST_LEVELS = 1 << 18
ROUNDING_VARIANCE = 9
"""What the noise has beyond the Gaussian's variance, to be that Gaussian rounded at random (section 3)."""
LEAST_VARIANCE = 4096
"""Of one hospital's noise: from here on its sum is a discrete Gaussian's to 17,000 digits (section 3)."""


@dataclass(frozen=True)
class NoisySum:
    """The sum of one round over a cohort of ``hospitals``."""

    hospitals: int
    survivors: int
    """The least number of hospitals whose uploads an opened sum has in it."""
    colluders: int
    batch_size: int
    clip_norm: float

    @classmethod
    def of(cls, study: Study, privacy: DistributedDpSgd, hospitals: int, threshold: int) -> NoisySum:
        """Return the form of a sum over a cohort whose sums ``threshold`` hospitals open."""
        return cls(
            hospitals=hospitals,
            survivors=least_survivors(study, hospitals, threshold),
            colluders=privacy.colluders,
            batch_size=study.training.batch_size,
            clip_norm=privacy.clip_norm,
        )

    @property
    def levels(self) -> int:
        """L, the integer that stands for one clip norm: the largest power of two that leaves the ring room enough."""
        return min(MOST_LEVELS, 1 << ((1 << (RING_BITS - 1)) // (8 * self.batch_size + 4096)).bit_length() - 1)

    @property
    def most_patients(self) -> int:
        """How many clipped gradients the ring has room for in one number, and so the most that a sum is taken for."""
        return 4 * self.batch_size + 16

    def most(self, noise_multiplier: float, survivors: int, size: int) -> float:
        """Return the largest L2 norm of a sum over a number of hospitals, of ``size`` numbers, in levels.

        Gradients have at most :attr:`most_patients` levels-long norms between them. The square of the noise's norm is a
        chi-square variable's with ``size`` degrees of freedom, beyond this bound with a chance below e^-50 (Laurent and
        Massart, *Adaptive estimation of a quadratic functional by model selection*, Annals of Statistics 28(5), 2000,
        lemma 1).

        Raises:
            PrivacyError: as :meth:`share`.
        """
        square = size + 2 * math.sqrt(50 * size) + 100
        noise = math.sqrt(self.share(noise_multiplier) * survivors * square)
        return self.most_patients * self.levels + noise

    def share(self, noise_multiplier: float) -> int:
        """Return the variance of the integer noise that each hospital adds to each number.

        Any ``survivors`` of the cohort less any ``colluders`` have together at least the noise of the Gaussian
        mechanism with this noise multiplier.

        Raises:
            PrivacyError: there is less noise than the argument of section 3 is made for, or more than the ring holds.
        """
        wanted = (Fraction(noise_multiplier) * self.levels) ** 2 + ROUNDING_VARIANCE
        variance = math.ceil(wanted / (self.survivors - self.colluders))
        if variance < LEAST_VARIANCE:
            raise PrivacyError(
                f"integer noise of variance {variance} is too small to be accounted as Gaussian noise",
                do="Ask for a smaller epsilon or a smaller batch_size.",
            )
        most = self.most_patients * self.levels + 12 * math.sqrt(variance * self.hospitals)
        if most >= 1 << (RING_BITS - 1):
            raise PrivacyError(
                f"a ring of {RING_BITS} bits cannot hold the noise of {self.hospitals} hospitals for this study",
                do="Ask for a larger epsilon, fewer rounds, a lower sampling_rate, or fewer dropouts and colluders.",
            )
        return variance

    def cut(self, gradient: NDArray[np.float32]) -> NDArray[np.int64]:
        """Clip one patient's gradient (parameters,) to the clip norm and give it in levels, cut off towards zero.

        The L2 norm of the result is at most :attr:`levels`: that is computed on integers, so that it holds whatever
        floating point did before. A gradient that is not finite gives zeros: an error would tell of a patient.
        """
        exact = gradient.astype(np.float64)
        norm = math.sqrt(float(np.square(exact).sum()))
        if not math.isfinite(norm):
            return np.zeros(len(exact), np.int64)
        scale = self.levels / max(norm, self.clip_norm)
        while True:
            whole = np.trunc(exact * scale).astype(np.int64)
            if int(np.dot(whole, whole)) <= self.levels**2:
                return whole
            scale *= 1 - 1e-9

    def in_ring(self, whole: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return whole numbers modulo 2^32, as a secure sum adds them."""
        return whole.astype("<u4")

    def decode(self, total: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return the sum of clipped gradients, with its noise, from an opened sum."""
        decoded: NDArray[np.float64] = total.view("<i4").astype(np.float64) * (self.clip_norm / self.levels)
        return decoded


def least_survivors(study: Study, hospitals: int, threshold: int) -> int:
    """Return how many hospitals of a cohort must be in a round's sum before an honest one helps to open it."""
    least = max(threshold, study.aggregation.min_hospitals)
    if isinstance(study.privacy, DistributedDpSgd):
        return max(least, hospitals - study.privacy.dropouts)
    return least


def share_of_noise(study: Study, whole: Fraction, hospitals: int, threshold: int) -> int:
    """Return the variance of the integers that each hospital adds to a sum whose noise has this variance in all.

    Under ``trust = "distributed"``: of a cohort of ``hospitals`` whose sums ``threshold`` of them open, any survivors
    less any colluders have enough together. Else, and for the one hospital of a baseline, each has enough by itself.
    """
    honest = 1
    if isinstance(study.privacy, DistributedDpSgd) and study.aggregation.secure:
        honest = least_survivors(study, hospitals, threshold) - study.privacy.colluders
    return max(math.ceil((whole + ROUNDING_VARIANCE) / honest), LEAST_VARIANCE)


def has_noise(study: Study, what: str, number: int) -> bool:
    """Tell whether a sum is over no fewer hospitals than have noise enough: updates, those before the first round
    (0), and of a study that asks for it those over the patients on whom its model is judged.
    """
    return what == "train" or number == 0 or study.noised
