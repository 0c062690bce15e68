"""What a model decides at an operating point, and how often it is right: the numbers that a clinician acts on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.defined import mean_over
from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.scores import findings

DECISION_METRICS = ("sensitivity", "specificity", "ppv", "npv", "f1", "balanced_accuracy", "accuracy")


def decisions_of(confusion: NDArray[np.number], counted: NDArray[np.bool_] | None = None) -> dict[str, Floats]:
    """Return each of ``DECISION_METRICS`` (resamples,) of confusion matrices (resamples, classes, classes).

    ``counted`` bool (resamples, classes): the classes of which means are taken; left out: all.

    Rows are true classes, columns decided ones; NaN where a metric is undefined. Of two classes they are the finding's.
    Of more, each class is judged against the rest and the mean is taken over the classes for which the metric is
    defined (macro average). Balanced accuracy is the mean of the classes' sensitivities (Brodersen et al. 2010, ICPR).
    """
    true = confusion.sum(axis=2, dtype=np.float64)  # (resamples, classes)
    hits, every = np.trace(confusion, axis1=1, axis2=2).astype(np.float64), true.sum(axis=1)
    columns = list(findings(confusion.shape[1]))
    by_class = figures_by_class(confusion)
    if counted is not None:
        by_class = {name: np.where(counted, values, np.nan) for name, values in by_class.items()}
    return {
        **{name: mean_over(values[:, columns], axis=1) for name, values in by_class.items()},
        "balanced_accuracy": np.where((true > 0).sum(axis=1) > 1, mean_over(by_class["sensitivity"], axis=1), np.nan),
        "accuracy": divide(hits, every),
    }


def figures_by_class(confusion: NDArray[np.number]) -> dict[str, Floats]:
    """Return the metrics of each class against the rest (resamples, classes), by name; NaN where undefined."""
    true, decided = confusion.sum(axis=2, dtype=np.float64), confusion.sum(axis=1, dtype=np.float64)
    hits = np.diagonal(confusion, axis1=1, axis2=2).astype(np.float64)  # (resamples, classes)
    every = true.sum(axis=1, keepdims=True)
    rejects = every - true - decided + hits
    return {
        "sensitivity": divide(hits, true),
        "specificity": divide(rejects, every - true),
        "ppv": divide(hits, decided),
        "npv": divide(rejects, every - decided),
        "f1": divide(2 * hits, true + decided),
    }
