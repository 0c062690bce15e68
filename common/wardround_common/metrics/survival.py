"""How well a risk over time is told, from counts that hospitals can add: concordance, calibration, Brier score.

Times are told in intervals. Of each record it is known through which interval it was followed without an event, the
first ``survived`` ones, and whether the event came in the next one. Everything here is read off counts by that outcome,
so that it is over all hospitals together, and the same wherever the sums were added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics.defined import of_one_row
from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.shapes import Estimate
from wardround_common.metrics.sum_intervals import OF_SPREAD, drawn, of_resamples, with_intervals

RANKS = 1024
"""Bins of the risk at the last time, by which records are ranked; within one they are ties."""
BINS = 16
"""Bins of the risk at each time, of which each is compared with what became of its records."""
UNIT = 2.0**-20
"""Losses, errors and risks are summed as whole multiples of it, so that sums do not depend on their order."""
LOSS_LIMIT = 2.0**16
"""Nats; a larger loss of one record is counted as this."""
COUNT_LIMIT = 2.0**40

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RiskSums:
    """Sums over records that tell how good risks are without any one record's; whole numbers, so that adding is exact.

    By outcome is by (intervals survived, 0 to ``times``; whether an event followed). ``ranks`` int64 (times + 1, 2,
    1024): records by outcome and bin of their risk at the last time. ``risks`` int64 (times, times + 1, 2, 16): by
    outcome and bin of their risk at each time; ``predicted`` int64 (times, 16): the sums of these risks, in units of
    2^-20. ``errors`` int64 (times, times + 1, 2): by outcome the squared errors of the risk at each time, in the same
    units, of those of whom it is known what had become of them by then; 0 of the others. ``loss``: in the same units.
    """

    ranks: Counts
    risks: Counts
    predicted: Counts
    errors: Counts
    loss: int

    @classmethod
    def empty(cls, times: int) -> RiskSums:
        """Return the sums over no record."""
        ranks, risks, predicted, errors = (np.zeros(shape, np.int64) for shape in _shapes(times))
        return cls(ranks, risks, predicted, errors, 0)

    @classmethod
    def of(cls, survived: Counts, event: Counts, risks: Floats, losses: Floats) -> RiskSums:
        """Sum up records: intervals survived (records,), whether an event followed, risks (records, times), losses.

        Raises:
            ModelError: a risk or a loss is not a finite number (the training diverged).
        """
        if not (np.all((risks >= 0) & (risks <= 1)) and np.all(losses >= 0)):  # NaN fails too
            raise ModelError("a risk or a loss is not a number", do="Training diverged? Lower the learning rate.")
        times = risks.shape[1]
        sums = cls.empty(times)
        outcome = (survived, event)
        np.add.at(sums.ranks, (*outcome, np.minimum((risks[:, -1] * RANKS).astype(np.int64), RANKS - 1)), 1)
        for time in range(times):
            risk = risks[:, time]
            bins = np.minimum((risk * BINS).astype(np.int64), BINS - 1)
            np.add.at(sums.risks[time], (*outcome, bins), 1)
            np.add.at(sums.predicted[time], bins, _units(risk))
            had, free = (survived <= time) & (event == 1), survived > time
            np.add.at(sums.errors[time], outcome, _units(np.where(had, (1 - risk) ** 2, np.where(free, risk**2, 0))))
        return cls(
            sums.ranks, sums.risks, sums.predicted, sums.errors, int(_units(np.minimum(losses, LOSS_LIMIT)).sum())
        )

    def __add__(self, other: RiskSums) -> RiskSums:
        """Add the sums over two groups of records.

        Raises:
            MessageError: they are of other times.
        """
        if self.times != other.times:
            raise MessageError("sums of risks at other times cannot be added")
        return RiskSums(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(RiskSums)))

    def in_levels(self) -> RiskSums:
        """Return them with records ranked by the 16 bins in which their last risk is compared; the rest stays exact.

        A rank is counted in the middle of its bin, so that the sums keep their form.
        """
        each = RANKS // BINS
        ranks = np.zeros_like(self.ranks)
        ranks[..., each // 2 :: each] = self.ranks.reshape(*self.ranks.shape[:2], BINS, each).sum(axis=-1)
        return replace(self, ranks=ranks)

    def to_vector(self) -> Counts:
        """Return the sums as int64: what travels in a message."""
        arrays = [array.ravel() for array in (self.ranks, self.risks, self.predicted, self.errors)]
        return np.concatenate([*arrays, np.array([self.loss])])

    @classmethod
    def from_vector(cls, vector: Counts | Floats, times: int) -> RiskSums:
        """Read the sums from a vector of whole numbers, int64 or float64.

        Raises:
            MessageError: wrong length or type, a number that is negative or not whole, or numbers that contradict one
                another.
        """
        parts = _cut(vector, times)
        if vector.dtype not in (np.int64, np.float64):
            raise MessageError(f"sums are int64 or float64, not {vector.dtype}")
        if not np.all((vector >= 0) & (vector <= 2.0**62)) or (vector.dtype == np.float64 and np.any(vector % 1)):
            raise MessageError("sums are whole numbers of 0 or more")
        ranks, risks, predicted, errors = (part.astype(np.int64) for part in parts)
        sums = cls(ranks, risks, predicted, errors, int(vector[-1]))
        sums._check()
        return sums

    def _check(self) -> None:
        """Check that some records can have these sums.

        Raises:
            MessageError: none can.
        """
        if np.any(self.ranks > COUNT_LIMIT) or np.any(self.risks > COUNT_LIMIT):  # sums of them could overflow
            raise MessageError("the sums are of more records than there can be")
        counts = self.outcomes()
        if counts.sum() > COUNT_LIMIT or counts[-1, 1] or np.any(self.risks.sum(axis=-1) != counts):
            raise MessageError("the sums contradict one another: risks are counted of other records")
        known = np.stack([_known(self.times, time) for time in range(self.times)])
        if np.any(self.errors > np.where(known, counts, 0) * (1 / UNIT + 1)):
            raise MessageError("the sums contradict one another: errors are larger than any can be")
        of_bin = self.risks.sum(axis=(1, 2))  # (times, bins)
        low, high = np.arange(BINS) / BINS, np.arange(1, BINS + 1) / BINS
        if np.any(self.predicted < of_bin * (low / UNIT - 1)) or np.any(self.predicted > of_bin * (high / UNIT + 1)):
            raise MessageError("the sums contradict one another: risks do not lie in their bins")
        if self.loss > self.records * (LOSS_LIMIT / UNIT + 1):
            raise MessageError(f"{self.records} records cannot have a loss of {self.loss * UNIT:.6g}")

    @property
    def times(self) -> int:
        """At how many times a risk is told."""
        return len(self.risks)

    @property
    def records(self) -> int:
        """How many records were summed."""
        return int(self.ranks.sum())

    def outcomes(self) -> Counts:
        """Return how many records there are of each outcome, (times + 1, 2)."""
        counts: Counts = self.ranks.sum(axis=-1)
        return counts

    def mean_loss(self) -> float | None:
        """Return the mean loss of a record in nats; None over no record."""
        return self.loss * UNIT / self.records if self.records else None

    def figures(self, point: None = None) -> dict[str, float | None]:
        """Return every metric, for which there is no operating point; None where it is not defined."""
        return of_one_row(figures_of(self.to_vector()[None], self.times))


@dataclass(frozen=True, slots=True, eq=False)
class AtTime:
    """Figures of the risk at one time; of many rows of sums at once, NaN where undefined."""

    predicted: Floats
    """(rows,) the mean risk."""
    observed: Floats
    """(rows,) what became of them: 1 - Kaplan-Meier."""
    brier: Floats
    """(rows,) weighted by the inverse of the probability of not being censored."""
    brier_of_same: Floats
    """(rows,) the same if everybody had the observed risk."""
    bins_predicted: Floats
    """(rows, bins)."""
    bins_observed: Floats
    """(rows, bins); NaN in a bin without records, or where follow-up ends before; 1 where all had the event."""
    bins: Floats
    """(rows, bins): records."""


def at_time(vectors: NDArray[np.number], times: int, time: int) -> AtTime:
    """Return the figures at a time from vectors of sums (rows, n), which need not be whole.

    Brier score: Graf, Schmoor, Sauerbrei and Schumacher, *Assessment and comparison of prognostic classification
    schemes for survival data*, Statistics in Medicine 18 (1999). Its weights come from the records of all hospitals
    together: they hold where censoring depends neither on the risk nor on the hospital.
    """
    ranks, risks, predicted, errors = _cut(vectors, times)
    counts = ranks.sum(axis=-1)  # (rows, times + 1, 2)
    in_study = uncensored(counts)  # (rows, times)
    total = counts.sum(axis=(1, 2))
    weights = _weights(in_study, time)  # (rows, times + 1, 2)
    observed = 1 - surviving(counts)[:, time]
    known = np.where(weights > 0, counts * weights, 0)
    had = known[:, : time + 1, 1].sum(axis=1)
    free = known[:, time + 1 :].sum(axis=(1, 2))
    brier = divide((errors[:, time] * UNIT * weights).sum(axis=(1, 2)), total)
    same = divide(had * (1 - observed) ** 2 + free * observed**2, total)
    by_bin = risks[:, time]  # (rows, times + 1, 2, bins)
    of_bin = by_bin.sum(axis=(1, 2))
    rows = len(vectors)
    each = by_bin.transpose(0, 3, 1, 2).reshape(rows * BINS, times + 1, 2)
    seen = (1 - surviving(each)[:, time]).reshape(rows, BINS)
    there = in_study[:, time] > 0
    return AtTime(
        predicted=divide(predicted[:, time].sum(axis=1) * UNIT, total),
        observed=np.where(there, observed, np.nan),
        brier=np.where(there, brier, np.nan),
        brier_of_same=np.where(there, same, np.nan),
        bins_predicted=divide(predicted[:, time] * UNIT, of_bin),
        bins_observed=np.where(of_bin > 0, seen, np.nan),
        bins=of_bin.astype(np.float64),
    )


def figures_of(vectors: NDArray[np.number], times: int) -> dict[str, Floats]:
    """Return every metric (rows,) of vectors of sums (rows, n); NaN where it is not defined.

    Brier score and calibration error are the means over the times.
    """
    each = [at_time(vectors, times, time) for time in range(times)]
    brier, same = (np.mean([getattr(one, name) for one in each], axis=0) for name in ("brier", "brier_of_same"))
    gaps = []
    for one in each:
        defined = ~np.isnan(one.bins_observed)
        gap = np.where(defined, one.bins * np.abs(one.bins_predicted - one.bins_observed), 0).sum(axis=1)
        gaps.append(divide(gap, np.where(defined, one.bins, 0).sum(axis=1)))
    return {
        "c_index": concordance(_cut(vectors, times)[0]),
        "brier": brier,
        "brier_skill": np.where(same > 0, 1 - divide(brier, same), np.nan),
        "calibration_error": np.mean(gaps, axis=0),
        "excess_risk": each[-1].predicted - each[-1].observed,
    }


def intervals_of(sums: RiskSums, point: None, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the metrics that have a value and an interval: resampled from the counts by outcome and risk.

    The Brier score has none: of the squared errors of an outcome only the sum is known, and not how far they lie apart.
    """
    if not sums.records:
        return {}
    found = of_resamples({"c_index": concordance(one)} for one in _drawn(sums.ranks))
    mean = divide(sums.predicted[-1] * UNIT, sums.risks[-1].sum(axis=(0, 1)), empty=0.0)  # (bins,) of a risk in it
    used = sums.risks[-1].any(axis=(0, 1))
    found |= of_resamples({"excess_risk": _excess(one, mean[used])} for one in _drawn(sums.risks[-1]))
    return with_intervals(metrics, found, OF_SPREAD)


def _drawn(counts: Counts) -> Iterator[Floats]:
    """Yield resamples of records (some, times + 1, 2, used), from counts by outcome and bin, without empty bins."""
    there = counts[..., counts.any(axis=(0, 1))]
    for some in drawn(there.ravel()):
        yield some.reshape(-1, *there.shape)


def _excess(counts: Floats, mean: Floats) -> Floats:
    observed = 1 - surviving(counts.sum(axis=-1))[:, -1]
    predicted: Floats = counts.sum(axis=(1, 2)) @ mean / counts[0].sum()
    return predicted - observed


def concordance(ranks: NDArray[np.number]) -> Floats:
    """Return Harrell's concordance (rows,) from counts by outcome and bin of risk (rows, times + 1, 2, bins).

    Of the pairs in which one record had its event in an earlier interval than that through which the other one is known
    to have had none: the fraction in which it has the higher risk; a half where both risks are in one bin. NaN without
    a pair. Harrell et al., *Evaluating the yield of medical tests*, JAMA 247 (1982).
    """
    right, pairs = np.zeros(len(ranks)), np.zeros(len(ranks))
    for interval in range(ranks.shape[1] - 1):
        had = ranks[:, interval, 1].astype(np.float64)  # (rows, bins)
        free = ranks[:, interval + 1 :].sum(axis=(1, 2)).astype(np.float64)
        right += (had * (np.cumsum(free, axis=1) - free / 2)).sum(axis=1)
        pairs += had.sum(axis=1) * free.sum(axis=1)
    return divide(right, pairs)


def surviving(counts: NDArray[np.number]) -> Floats:
    """Return the Kaplan-Meier estimate (rows, times) at the end of each interval, from counts by outcome.

    Who was followed through an interval only in part is not at risk in it. NaN from where follow-up ends; where it ends
    because all had the event, it stays 0.
    """
    events = counts[:, :-1, 1].astype(np.float64)
    stay = 1 - divide(events, _beyond(counts)[:, 1:] + events)
    nobody = np.cumprod(np.where(np.isnan(stay), 1.0, stay), axis=1) == 0
    return np.where(nobody, 0.0, np.cumprod(stay, axis=1))


def uncensored(counts: NDArray[np.number]) -> Floats:
    """Return the chance (rows, times) of still being followed in each interval, by Kaplan-Meier for censoring.

    Where nobody is left whom one could stop following it stays as it was: 0 if the last ones were lost, and above it if
    they had the event, since then it is known of all what became of them.
    """
    lost = divide(counts[:, :-1, 0].astype(np.float64), _beyond(counts)[:, :-1], empty=0.0)
    return np.asarray(np.cumprod(1 - lost, axis=1), np.float64)


def _beyond(counts: NDArray[np.number]) -> Floats:
    """Return how many survived at least as many intervals as each column's number: (rows, times + 1)."""
    beyond: Floats = np.cumsum(counts.astype(np.float64).sum(axis=2)[:, ::-1], axis=1)[:, ::-1]
    return beyond


def _weights(in_study: Floats, time: int) -> Floats:
    """Return by what each outcome is multiplied at a time (rows, times + 1, 2): 0 where it is not known by then."""
    rows, times = in_study.shape
    weights = np.zeros((rows, times + 1, 2))
    inverse = np.divide(1.0, in_study, out=np.zeros_like(in_study), where=in_study > 0)
    weights[:, : time + 1, 1] = inverse[:, : time + 1]
    weights[:, time + 1 :] = inverse[:, time, None, None]
    return weights


def _known(times: int, time: int) -> NDArray[np.bool_]:
    """Tell of which outcomes it is known at a time what had become of the record by then."""
    known = np.zeros((times + 1, 2), np.bool_)
    known[: time + 1, 1] = known[time + 1 :] = True
    return known


def _shapes(times: int) -> tuple[tuple[int, ...], ...]:
    return (times + 1, 2, RANKS), (times, times + 1, 2, BINS), (times, BINS), (times, times + 1, 2)


def risk_length(times: int) -> int:
    """Return the length of the sums for a number of times."""
    return sum(int(np.prod(shape)) for shape in _shapes(times)) + 1


def _cut(vectors: NDArray[np.number], times: int) -> list[NDArray[np.number]]:
    """Return the arrays of vectors (…, n): (…, *shape) each; the loss is left out.

    Raises:
        MessageError: the vectors have another length.
    """
    if not vectors.ndim or vectors.shape[-1] != risk_length(times):
        raise MessageError(f"sums of risks at {times} times are {risk_length(times)} numbers, not {vectors.shape}")
    parts, start = [], 0
    for shape in _shapes(times):
        size = int(np.prod(shape))
        parts.append(vectors[..., start : start + size].reshape(*vectors.shape[:-1], *shape))
        start += size
    return parts


def _units(values: Floats) -> Counts:
    return np.rint(values / UNIT).astype(np.int64)
