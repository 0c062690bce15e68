"""From sums over hospitals to the record of how a model does on all test patients together.

What a coordinator can know that is told no image's score: everything that ``evaluate`` gives, from counts in 1024 bins
of scores, without intervals, since these need each patient's images apart.
"""

from __future__ import annotations

import numpy as np

from wardround_common.metrics import METRICS, Estimate, ScoreSums
from wardround_common.metrics.calibration import RELIABILITY_BINS
from wardround_common.metrics.decisions import decisions_of
from wardround_common.metrics.sums import BINS
from wardround_common.results.evaluation import curves_of, numbers
from wardround_common.results.site import ReliabilityBins, SiteMetrics

NO_INTERVAL = "sums over hospitals give no interval"


def evaluate_sums(test: ScoreSums, threshold: float | None) -> SiteMetrics:
    """Judge a model on the test patients of all hospitals together.

    ``threshold``: as for ``evaluate``; a multiple of 1/1024, as ``ScoreSums.operating_threshold`` gives it, at which
    the counts are exact. AUROC and average precision take scores in one bin for ties (``ScoreSums.auroc_margin``).
    """
    confusion = test.decided(threshold)
    values: dict[str, float | None] = {name: _number(value) for name, value in decisions_of(confusion).items()}
    values |= {
        "auroc": test.auroc(),
        "auprc": test.auprc(),
        "brier": test.brier(),
        "calibration_error": test.calibration_error(),
    }
    pairs = [(rest, found) for rest, found in test.histograms if rest.sum() and found.sum()]
    lines = curves_of(pairs)
    return SiteMetrics(
        patients=None,
        images=test.records,
        threshold=threshold if test.classes == 2 else None,
        metrics={name: _estimate(values[name], test) for name in METRICS},
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        roc=lines[0] if lines else None,
        precision_recall=lines[1] if lines else None,
        reliability=_reliability(test) if test.records else None,
    )


def _estimate(value: float | None, test: ScoreSums) -> Estimate:
    if value is not None:
        return Estimate(value, reason=NO_INTERVAL)
    if not test.records:
        return Estimate(None, reason="no patients")
    one_class = int((test.confusion.sum(axis=1) > 0).sum()) < 2
    return Estimate(None, reason="all images are of one class" if one_class else "the model decides the same for all")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _reliability(test: ScoreSums) -> ReliabilityBins:
    centres = (np.arange(BINS) + 0.5) / BINS
    images = test.histograms.sum(axis=(0, 1))  # (bins,) of all findings together
    found = test.histograms[:, 1].sum(axis=0)
    by_bin = [part.reshape(RELIABILITY_BINS, -1).sum(axis=1) for part in (images * centres, found, images)]
    predicted, observed, counts = by_bin
    with np.errstate(invalid="ignore", divide="ignore"):
        return ReliabilityBins(
            predicted=numbers(predicted / counts), observed=numbers(observed / counts), counts=tuple(counts.tolist())
        )
