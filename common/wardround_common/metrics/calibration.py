"""Whether a probability means what it says: Brier score, calibration error and the reliability diagram.

The expected calibration error is that of Guo et al. 2017 (On Calibration of Modern Neural Networks, ICML, section 2)
for the probability of the finding rather than of the predicted class, which is what a reader of a report acts on; of
more than two classes, the mean over the classes, each against the rest (Kull et al. 2019, NeurIPS, section 2:
*classwise*). 16 bins of equal width over [0, 1], closed at the left: near Guo's 15, and the 1024 bins that travel
between hospitals divide into them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.shapes import ReliabilityBins, numbers

RELIABILITY_BINS = 16


def squared_errors(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Floats:
    """Return each image's squared error (images,), whose mean is the Brier score.

    Of the finding's probability for two classes (0 to 1); summed over the classes for more (0 to 2), as Brier 1950
    (Monthly Weather Review 78(1)) does.
    """
    p = probabilities.astype(np.float64)
    errors: Floats = np.square(p - np.eye(p.shape[1])[labels])  # (images, classes)
    return errors[:, 1] if p.shape[1] == 2 else errors.sum(axis=1)


def calibration_error(histograms: NDArray[np.number], images: NDArray[np.number]) -> Floats:
    """Return the expected calibration error (resamples,), to within half a bin's width of the exact one.

    ``histograms`` (resamples, findings, 2, bins): images of the rest and of the finding by score; ``images``
    (resamples,) in all.
    """
    resamples, findings, _, bins = histograms.shape
    counts, found = histograms.sum(axis=2, dtype=np.float64), histograms[:, :, 1]
    gaps = (counts * _centres(bins) - found).reshape(resamples, findings, RELIABILITY_BINS, -1).sum(axis=3)
    return divide(np.abs(gaps).sum(axis=2).mean(axis=1), images)


def reliability(histograms: NDArray[np.int64]) -> ReliabilityBins:
    """Return the reliability diagram of the finding, or of all classes each against the rest: (findings, 2, bins)."""
    images, found = histograms.sum(axis=(0, 1)), histograms[:, 1].sum(axis=0)  # (bins,) of all findings together
    parts = (images * _centres(len(images)), found, images)
    predicted, observed, counts = (part.reshape(RELIABILITY_BINS, -1).sum(axis=1) for part in parts)
    return ReliabilityBins(
        predicted=numbers(divide(predicted, counts)),
        observed=numbers(divide(observed, counts)),
        counts=tuple(counts.tolist()),
    )


def _centres(bins: int) -> Floats:
    centres: Floats = (np.arange(bins) + 0.5) / bins
    return centres
