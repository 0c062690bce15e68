"""Intervals that sums alone give, where nobody may resample patients: they take records for independent.

Several images of one patient are not, so that these intervals are too short where patients have several. Counts by what
a figure depends on are all that a resample of records needs: how often each kind is drawn is multinomial. Of a mean
over classes only the counts of each class are known, and not which images two classes share: its interval is then as
wide as if all were wrong in the same ones, which is the widest that it can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.intervals import LEVEL, with_interval
from wardround_common.metrics.ranking import Floats
from wardround_common.metrics.shapes import LEAST_RECORDS, Estimate

Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
INDEPENDENT = "from sums, which take images for independent"
OF_SPREAD = "from the spread in sums, which take images for independent"
AT_MOST = "from sums, which take images for independent, as wide as if all of a mean were wrong in the same images"
BY_PATIENT = "from sums of one value for each patient"
AT_MOST_BY_PATIENT = "from sums of one value for each patient, as wide as if all of a mean were wrong in the same ones"
OF_IMAGES = frozenset({INDEPENDENT, OF_SPREAD, AT_MOST})
OF_MEANS = frozenset({AT_MOST, AT_MOST_BY_PATIENT})
FROM_SUMS = OF_IMAGES | OF_MEANS | {BY_PATIENT}
"""Reasons that an interval from sums states."""

RESAMPLES = 1000
BLOCK = 2_000_000
"""Numbers that are drawn at a time."""
Limits = tuple[float, float]


def of_fraction(found: int, of: int) -> tuple[float, float]:
    """Return the interval of a fraction ``found / of``, ``of`` at least 1.

    Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).
    """
    share, square = found / of, Z * Z / of
    middle = (share + square / 2) / (1 + square)
    half = Z * float(np.sqrt(share * (1 - share) / of + square / of / 4)) / (1 + square)
    low, high = middle - half, middle + half
    return (low if found else 0.0), (high if found < of else 1.0)  # at either end it is so but for rounding


def of_area(rest: NDArray[np.int64], found: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the interval of an area under the ROC curve from counts by score (bins,); None where it has no width.

    The variance is that of DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), with ties in a bin. The limits are
    those of the area's log-odds: near 1 the plain ones are shorter than they may be, and end beyond it (Qin and
    Hotilovac, Statistical Methods in Medical Research 17, 2008).
    """
    others, ours = int(rest.sum()), int(found.sum())
    if min(others, ours) < 2:
        return None
    below = (np.cumsum(rest) - rest / 2) / others  # of a finding in a bin: the share of the rest that scores lower
    above = 1 - (np.cumsum(found) - found / 2) / ours
    area = float(found @ below) / ours
    variance = 0.0
    for counts, shares in ((found, below), (rest, above)):
        count = int(counts.sum())
        variance += float(counts @ (shares - area) ** 2) / (count - 1) / count
    if variance <= 0 or not 0 < area < 1:
        return None
    odds, half = np.log(area / (1 - area)), Z * np.sqrt(variance) / (area * (1 - area))
    return float(1 / (1 + np.exp(half - odds))), float(1 / (1 + np.exp(-half - odds)))


def of_mean(mean: float, deviation: float, count: int) -> Limits | None:
    """Return the interval of a mean from the standard deviation of a sample; None where it has no width, or of few."""
    half = Z * deviation / float(np.sqrt(count)) if count >= LEAST_RECORDS else 0.0
    return (mean - half, mean + half) if half > 0 else None


def drawn(counts: NDArray[np.int64], resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Yield resamples of records of several kinds (kinds,), some at a time: (some, kinds), with as many records each.

    A resample with replacement of records that differ only by their kind is a multinomial one of the kinds (Efron and
    Tibshirani 1993, An Introduction to the Bootstrap, section 6). The same counts give the same resamples. Of
    fewer than five records there are none: the ends of an interval would be what single records have.
    """
    rng, total = np.random.default_rng(0), int(counts.sum())
    some = max(BLOCK // max(len(counts), 1), 1)
    for first in range(0, resamples if total >= LEAST_RECORDS else 0, some):
        yield rng.multinomial(total, counts / total, min(some, resamples - first)).astype(np.float64)


def of_resamples(drawn_of: Iterable[Mapping[str, Floats]]) -> dict[str, Limits | None]:
    """Return the percentile interval of each figure from its values in resamples, block by block (``drawn``).

    None where too few of them define it, or all agree.
    """
    blocks = list(drawn_of)
    found: dict[str, Limits | None] = {}
    for name in blocks[0] if blocks else ():
        limits = limits_of(with_interval(0.0, np.concatenate([one[name] for one in blocks])))
        found[name] = limits if limits is not None and limits[0] < limits[1] else None
    return found


def of_several(each: Sequence[Limits | None], share: float) -> Limits | None:
    """Return the widest interval of ``share`` times the sum of several figures, from theirs; None unless all have one.

    The standard deviation of a sum is at most the sum of those of its parts, however these depend on one another.
    """
    known = [one for one in each if one is not None]
    if not known or len(known) < len(each):
        return None
    return share * sum(low for low, _ in known), share * sum(high for _, high in known)


def limits_of(estimate: Estimate | None) -> Limits | None:
    """Return the interval of an estimate, if it has one."""
    return None if estimate is None or estimate.low is None or estimate.high is None else (estimate.low, estimate.high)


def with_intervals(
    metrics: Mapping[str, Estimate], found: Mapping[str, Limits | None], reason: str = INDEPENDENT
) -> dict[str, Estimate]:
    """Return those of the metrics that have a value and an interval, of which ``reason`` says how it is known."""
    return {
        name: Estimate(metrics[name].value, *limits, reason=reason)
        for name, limits in found.items()
        if limits is not None and metrics[name].value is not None
    }


def means_of(
    metrics: Mapping[str, Estimate], each: Sequence[Mapping[str, Limits | None]], reason: str
) -> dict[str, Estimate]:
    """Return the metrics that are means over groups, with the widest intervals; ``each``: those of one group."""
    found = {name: of_several([one.get(name) for one in each], 1 / max(len(each), 1)) for name in metrics}
    return with_intervals(metrics, found, reason)
