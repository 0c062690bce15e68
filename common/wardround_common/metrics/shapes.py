"""Figures as they are kept and drawn: estimates, curves, bins; frozen, strict, without NaN."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from wardround_common.metrics.ranking import Floats, precision_recall_points, roc_points

CURVE_POINTS = 200
DIGITS = 5  # of curve points: finer than a line on paper

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Points = Annotated[tuple[Rate | None, ...], Field(strict=False)]
"""An operating point for each of several findings; None of one for which none was chosen."""
Point = Rate | Points
"""An operating point: one number, or one for each finding."""


class Record(BaseModel):
    """A frozen value of known keys; it has no NaN and no infinity: a missing number is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class Estimate:
    """A metric's value and its 95 % interval; what is None is so for ``reason``."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


class Curve(Record):
    """Points of a curve within the unit square, at most 200 of them, by rising x."""

    x: Annotated[tuple[Rate, ...], Field(max_length=CURVE_POINTS)]
    y: Annotated[tuple[Rate, ...], Field(max_length=CURVE_POINTS)]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError("a curve needs as many y as x")
        return self


class ReliabilityBins(Record):
    """The reliability diagram, bins of equal width over [0, 1]: mean prediction, fraction with the finding, images.

    None in a bin without images. Of more than two classes, counts are of (image, class) pairs.
    """

    predicted: tuple[Rate | None, ...]
    observed: tuple[Rate | None, ...]
    counts: tuple[Count, ...]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if not len(self.predicted) == len(self.observed) == len(self.counts):
            raise ValueError("each bin needs a prediction, an observation and a count")
        return self


class HorizonFigures(Record):
    """How the risk at one time compares with what became of the patients, and the Brier score; None where undefined."""

    predicted: Rate | None
    """The mean risk."""
    observed: Rate | None
    """1 - Kaplan-Meier."""
    brier: Amount | None


LEAST_RECORDS = 5
"""Records of a group, and of the others, below which a figure of it is left out of means: one more or less would move
it by a fifth."""


class GroupFigures(Record):
    """How a model does on one group, such as a class: how many there are, how many it finds, and some metrics."""

    records: Count
    """Images of the class; patients with the structure."""
    rest: Count | None
    """All others; None where the figures do not need them."""
    decided: Count
    """How often the model decides for it, rightly or not."""
    found: Count
    """Of ``records``, those for which it does."""
    figures: dict[Name, float | None]
    """By the names of the task's metrics."""

    @property
    def enough(self) -> bool:
        """Whether there are enough on either side for a figure to say something."""
        return self.records >= LEAST_RECORDS and (self.rest is None or self.rest >= LEAST_RECORDS)


def curves_of(histograms: NDArray[np.number]) -> tuple[Curve, Curve] | tuple[None, None]:
    """Return ROC and precision-recall of (findings, 2, bins), (rest, found) by score, as ``ranking`` has them.

    Of several findings, means at equally spaced x (Fawcett 2006, section 9), without those that have nobody on a side;
    None if there are no others.
    """
    counted = [(rest, found) for rest, found in histograms if rest.sum() and found.sum()]
    rocs = [roc_points(rest, found) for rest, found in counted]
    recalls = [precision_recall_points(rest, found) for rest, found in counted]
    if not rocs:
        return None, None
    if len(rocs) == 1:
        return _thinned(*rocs[0]), _thinned(*recalls[0])
    grid = np.linspace(0, 1, CURVE_POINTS)
    roc = np.mean([np.interp(grid, x, y) for x, y in rocs], axis=0)
    precision = np.mean([np.interp(grid, x, y) for x, y in recalls], axis=0)
    return _thinned(grid, roc), _thinned(grid, precision)


def _thinned(x: Floats, y: Floats) -> Curve:
    """Keep both ends and points evenly spaced along the curve: none strays by more than 1 % of the axes."""
    if len(x) > CURVE_POINTS:
        length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        at = np.searchsorted(length, np.linspace(0, length[-1], CURVE_POINTS))
        at[-1] = len(x) - 1
        at = np.unique(at)
        x, y = x[at], y[at]
    return Curve(x=tuple(np.round(x, DIGITS).tolist()), y=tuple(np.round(y, DIGITS).tolist()))


def numbers(values: Floats) -> tuple[float | None, ...]:
    """Round numbers for a record; NaN becomes None."""
    return tuple(None if np.isnan(v) else round(float(v), DIGITS) for v in values)
