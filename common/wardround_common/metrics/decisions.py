"""What a model decides at an operating point, and how often it is right: the numbers that a clinician acts on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.scores import findings

DECISION_METRICS = ("sensitivity", "specificity", "ppv", "npv", "f1", "balanced_accuracy", "accuracy")


def decisions_of(confusion: NDArray[np.number]) -> dict[str, Floats]:
    """Return each of ``DECISION_METRICS`` (resamples,) of confusion matrices (resamples, classes, classes).

    Rows are true classes, columns decided ones; NaN where a metric is undefined. Of two classes they are the finding's.
    Of more, each class is judged against the rest and the mean is taken over the classes for which the metric is
    defined (macro average). Balanced accuracy is the mean of the classes' sensitivities (Brodersen et al. 2010, ICPR).
    """
    true, decided = confusion.sum(axis=2, dtype=np.float64), confusion.sum(axis=1, dtype=np.float64)
    hits = np.diagonal(confusion, axis1=1, axis2=2).astype(np.float64)  # (resamples, classes)
    every, columns = true.sum(axis=1, keepdims=True), list(findings(confusion.shape[1]))
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
