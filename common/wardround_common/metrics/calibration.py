"""Whether a probability means what it says: Brier score, calibration error and the reliability diagram.

The expected calibration error is that of Guo et al. 2017 (On Calibration of Modern Neural Networks, ICML, section 2)
for the probability of the finding rather than of the predicted class, which is what a reader of a report acts on; of
more than two classes, the mean over the classes, each against the rest (Kull et al. 2019, NeurIPS, section 2:
*classwise*). 16 bins of equal width over [0, 1], closed at the left: near Guo's 15, and the 1024 bins that travel
between hospitals divide into them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.scores import Scores, findings

RELIABILITY_BINS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """The reliability diagram: for each bin, what was predicted and what was so; NaN in a bin without images.

    ``predicted`` and ``observed`` float64 (16,): mean probability and fraction with the finding. ``counts`` int64
    (16,): images; of more than two classes, (image, class) pairs of all classes together.
    """

    predicted: Floats
    observed: Floats
    counts: NDArray[np.int64]


def squared_errors(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Floats:
    """Give each image's squared error (images,), whose mean is the Brier score.

    Of the finding's probability for two classes (0 to 1); summed over the classes for more (0 to 2), as Brier 1950
    (Monthly Weather Review 78(1)) does.
    """
    p = probabilities.astype(np.float64)
    errors: Floats = np.square(p - np.eye(p.shape[1])[labels])  # (images, classes)
    return errors[:, 1] if p.shape[1] == 2 else errors.sum(axis=1)


def calibration_gaps(scores: Scores) -> Floats:
    """Return (images, findings * 16): in an image's bin, by how much its probability exceeds what is so.

    Sums over images, in weights, give the calibration error of any resample (``weighted_calibration_error``).
    """
    n, columns = len(scores.labels), []
    for finding in scores.findings:
        p = scores.probabilities[:, finding].astype(np.float64)
        gaps = np.zeros((n, RELIABILITY_BINS))
        gaps[np.arange(n), _bins(p)] = p - (scores.labels == finding)
        columns.append(gaps)
    return np.concatenate(columns, axis=1)


def weighted_calibration_error(gaps: Floats, weights: Floats) -> Floats:
    """Return the calibration error (resamples,) of ``calibration_gaps`` under weights (resamples, images)."""
    images = weights.sum(axis=1)
    sums = (weights @ gaps).reshape(len(weights), -1, RELIABILITY_BINS)  # (resamples, findings, bins)
    of_class: Floats = np.abs(sums).sum(axis=2).mean(axis=1)
    return divide(of_class, images)


def reliability(scores: Scores) -> Reliability:
    """Return the reliability diagram of the finding, or of all classes each against the rest."""
    columns = list(findings(scores.classes))
    p = scores.probabilities[:, columns].astype(np.float64).ravel()
    so = (scores.labels[:, None] == np.array(columns)).ravel()
    bins = _bins(p)
    counts = np.bincount(bins, minlength=RELIABILITY_BINS)
    return Reliability(
        predicted=divide(np.bincount(bins, p, RELIABILITY_BINS), counts),
        observed=divide(np.bincount(bins, so, RELIABILITY_BINS), counts),
        counts=counts.astype(np.int64),
    )


def _bins(p: Floats) -> NDArray[np.int64]:
    return np.minimum((p * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
