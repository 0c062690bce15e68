"""What a model decides at an operating point, and how often it is right: the numbers that a clinician acts on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.scores import Scores, findings

DECISION_METRICS = ("sensitivity", "specificity", "ppv", "npv", "f1", "balanced_accuracy", "accuracy")


def operating_threshold(scores: Scores, sensitivity: float) -> float | None:
    """Choose the highest threshold at which at least this fraction of the images with the finding score as high.

    To be chosen on validation patients and used on others. None without an image with the finding, or with more than
    two classes, where the most probable class is what is decided.
    """
    found = np.sort(scores.probabilities[scores.labels == 1, 1])[::-1]
    if scores.classes != 2 or not len(found):
        return None
    needed = max(math.ceil(sensitivity * len(found) - 1e-9), 1)
    return float(found[needed - 1])


def decide(scores: Scores, threshold: float | None) -> NDArray[np.int64]:
    """Return the class (images,) that is decided for each image.

    The finding where its probability is at least the threshold; without a threshold, or of more than two classes,
    the most probable class (the first of equals).
    """
    if threshold is None or scores.classes != 2:
        likeliest: NDArray[np.int64] = scores.probabilities.argmax(axis=1)
        return likeliest
    found: NDArray[np.bool_] = scores.probabilities[:, 1].astype(np.float64) >= threshold
    return found.astype(np.int64)


def confusion(scores: Scores, threshold: float | None) -> NDArray[np.int64]:
    """Count images (classes, classes): rows are true classes, columns decided ones."""
    k = scores.classes
    counts = np.bincount(scores.labels * k + decide(scores, threshold), minlength=k * k)
    return counts.reshape(k, k).astype(np.int64)


def weighted_decisions(scores: Scores, threshold: float | None, weights: Floats) -> dict[str, Floats]:
    """Give each of ``DECISION_METRICS`` (resamples,) under weights (resamples, images); NaN where undefined.

    Of two classes they are the finding's. Of more, each class is judged against the rest and the mean is taken over
    the classes for which the metric is defined (macro average). Balanced accuracy is the mean of the classes'
    sensitivities (Brodersen et al. 2010, ICPR).
    """
    classes = np.arange(scores.classes)
    so = scores.labels[:, None] == classes  # (images, classes)
    said = decide(scores, threshold)[:, None] == classes
    true, decided = weights @ so, weights @ said  # (resamples, classes)
    hits = weights @ (so & said)
    return _decisions(true, decided, hits, weights.sum(axis=1, keepdims=True), list(scores.findings))


def decisions_of(confusion: NDArray[np.int64]) -> dict[str, float]:
    """Give each of ``DECISION_METRICS`` from a confusion matrix (classes, classes); NaN where undefined."""
    true, decided = confusion.sum(axis=1, dtype=np.float64)[None], confusion.sum(axis=0, dtype=np.float64)[None]
    hits, every = confusion.diagonal().astype(np.float64)[None], true.sum(axis=1, keepdims=True)
    found = _decisions(true, decided, hits, every, list(findings(len(confusion))))
    return {name: float(values[0]) for name, values in found.items()}


def _decisions(true: Floats, decided: Floats, hits: Floats, every: Floats, columns: list[int]) -> dict[str, Floats]:
    rejects = every - true - decided + hits
    recalls = divide(hits, true)
    return {
        "sensitivity": _mean(recalls[:, columns]),
        "specificity": _mean(divide(rejects, every - true)[:, columns]),
        "ppv": _mean(divide(hits, decided)[:, columns]),
        "npv": _mean(divide(rejects, every - decided)[:, columns]),
        "f1": _mean(divide(2 * hits, true + decided)[:, columns]),
        "balanced_accuracy": np.where((true > 0).sum(axis=1) > 1, _mean(recalls), np.nan),
        "accuracy": divide(hits.sum(axis=1), every[:, 0]),
    }


def _mean(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    return divide(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1))
