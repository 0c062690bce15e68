"""Whether a probability means what it says: Brier score, calibration error and the reliability diagram.

The expected calibration error is that of Guo et al. 2017 (On Calibration of Modern Neural Networks, ICML, section 2)
for the probability of the finding rather than of the predicted class, which is what a reader of a report acts on; of
more than two classes, the mean over the classes, each against the rest (Kull et al. 2019, NeurIPS, section 2:
*classwise*). 16 bins of equal width over [0, 1], closed at the left: near Guo's 15, and the finer bins that travel
between hospitals (``score_bins``) divide into them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.score_bins import MIDDLES, in_even_bins
from wardround_common.metrics.shapes import ReliabilityBins, numbers

RELIABILITY_BINS = 16
TEMPERATURES = (0.05, 20.0)
"""Between which a temperature is sought; beyond them scores do not rank the findings at all, or far too few tell."""
DIGITS = 3
"""Of a temperature that count: of hundreds of patients the third is chance, and all of them tell their exact sums."""
_HALVINGS, _LEAST = 60, 1e-12


def squared_errors(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Floats:
    """Return each image's squared error (images,), whose mean is the Brier score.

    Of the finding's probability for two classes (0 to 1); summed over the classes for more (0 to 2), as Brier 1950
    (Monthly Weather Review 78(1)) does.
    """
    p = probabilities.astype(np.float64)
    errors: Floats = np.square(p - np.eye(p.shape[1])[labels])  # (images, classes)
    return errors[:, 1] if p.shape[1] == 2 else errors.sum(axis=1)


def calibration_error(histograms: NDArray[np.number], images: NDArray[np.number]) -> Floats:
    """Return the expected calibration error (resamples,), to within 1/2048 of the exact one: half of a score's bin.

    ``histograms`` (resamples, findings, 2, bins): images of the rest and of the finding by score; ``images``
    (resamples,) in all.
    """
    counts, found = histograms.sum(axis=2, dtype=np.float64), histograms[:, :, 1]
    gaps = in_even_bins(counts * MIDDLES - found, RELIABILITY_BINS)
    return divide(np.abs(gaps).sum(axis=2).mean(axis=1), images)


def temperature(histograms: NDArray[np.int64]) -> float | None:
    """Return the temperature at which probabilities fit best what was found: (findings, 2, bins) as in ``ScoreSums``.

    Guo et al. 2017, section 4.2: the log-odds are divided by it. It is fitted by maximum likelihood to the middles of
    the bins, each class against the rest, with the softened targets of Platt 1999 (Probabilistic Outputs for Support
    Vector Machines, section 2.2), so that a few patients who are all told apart do not make every probability 0 or 1.
    To three digits. None where a finding or its rest does not occur, or none within :data:`TEMPERATURES` fits.
    """
    rest, found = histograms[:, 0].astype(np.float64), histograms[:, 1].astype(np.float64)  # (findings, bins)
    of_rest, of_found = rest.sum(axis=1, keepdims=True), found.sum(axis=1, keepdims=True)
    there = ((of_rest > 0) & (of_found > 0))[:, 0]
    if not there.any():
        return None
    rest, found, of_rest, of_found = (each[there] for each in (rest, found, of_rest, of_found))
    wanted = found * (of_found + 1) / (of_found + 2) + rest / (of_rest + 2)
    odds = log_odds(MIDDLES)

    def slope(sharpness: float) -> float:
        """Return the derivative of the loss, which rises with the sharpness: the loss is convex in it."""
        said = 1 / (1 + np.exp(-sharpness * odds))
        return float((((rest + found) * said - wanted) * odds).sum())

    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    if slope(low) >= 0 or slope(high) <= 0:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(f"{2 / (low + high):.{DIGITS}g}")


def at_temperature(probabilities: NDArray[np.floating], temperature: float) -> Floats:
    """Return probabilities (..., classes) with each class's log-odds divided by a temperature, adding up to 1 again.

    Of two classes that is what the temperature was fitted to; of more, each class is calibrated against the rest and
    the classes are then brought to 1 together (Zadrozny and Elkan 2002, KDD, section 4).
    """
    calibrated = 1 / (1 + np.exp(-log_odds(probabilities.astype(np.float64)) / temperature))
    scaled: Floats = calibrated / calibrated.sum(axis=-1, keepdims=True)
    return scaled


def log_odds(probabilities: Floats) -> Floats:
    """Return the log-odds of probabilities, kept finite where they are 0 or 1."""
    inside = np.clip(probabilities, _LEAST, 1 - _LEAST)
    odds: Floats = np.log(inside) - np.log1p(-inside)
    return odds


def reliability(histograms: NDArray[np.int64]) -> ReliabilityBins:
    """Return the reliability diagram of the finding, or of all classes each against the rest: (findings, 2, bins)."""
    images, found = histograms.sum(axis=(0, 1)), histograms[:, 1].sum(axis=0)  # (bins,) of all findings together
    parts = (images * MIDDLES, found, images)
    predicted, observed, counts = (in_even_bins(part, RELIABILITY_BINS) for part in parts)
    return ReliabilityBins(
        predicted=numbers(divide(predicted, counts)),
        observed=numbers(divide(observed, counts)),
        counts=tuple(counts.tolist()),
    )
