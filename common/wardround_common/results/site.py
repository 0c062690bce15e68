"""How one model does on the test patients of one site, as numbers that can be kept and drawn."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wardround_common.metrics import METRICS, Estimate

CURVE_POINTS = 200

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Record(BaseModel):
    """A frozen value of known keys; it has no NaN and no infinity: a missing number is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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


class SiteMetrics(Record):
    """Every metric of one model on the test patients of one site.

    ``metrics`` has each name of ``wardround_common.metrics.METRICS``. ``confusion``: rows are true classes, columns
    decided ones at ``threshold``, or the most probable class where it is None. Of more than two classes the curves
    are means over the classes, each against the rest. A curve that does not exist (one class only) or was not kept is
    None.
    """

    patients: Count | None
    """None where only sums over images are known."""
    images: Count
    threshold: float | None
    metrics: dict[str, Estimate]
    confusion: tuple[tuple[Count, ...], ...]
    roc: Curve | None = None
    precision_recall: Curve | None = None
    reliability: ReliabilityBins | None = None

    @model_validator(mode="after")
    def _metrics_are_the_known_ones(self) -> Self:
        if set(self.metrics) != set(METRICS):
            raise ValueError(f"the metrics are not {', '.join(METRICS)}")
        if any(len(row) != len(self.confusion) for row in self.confusion):
            raise ValueError("the confusion matrix is not square")
        return self

    def value(self, metric: str) -> float | None:
        """Return a metric's value, None where it is not defined."""
        return self.metrics[metric].value
