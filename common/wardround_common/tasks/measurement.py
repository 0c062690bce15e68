"""Measurement: a number of each image, such as an age or a volume, in a range that the study states."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from wardround_common.metrics import noised_measurements
from wardround_common.metrics.measurements import AGREEMENT, QUARTERS, MeasurementSums, figures_of, intervals_of
from wardround_common.section import Word
from wardround_common.tasks.contract import Detail, NoisedSums, Task, TaskSection, Words, figure
from wardround_common.tasks.findings import TAKEN

Finite = Annotated[float, Field(ge=-1e9, le=1e9)]


class Measurement(TaskSection):
    """``[task] name = "measurement"``: a number for each image."""

    name: Annotated[Literal["measurement"], Field(examples=["measurement"])]
    """'measurement': a number of each image; labels are a column of numbers."""
    quantity: Annotated[Word, Field(max_length=64, examples=["gland"])]
    """What is measured, such as age: the column of every hospital's table."""
    unit: Annotated[Word, Field(max_length=16, examples=["%"])]
    """Its unit in all tables, such as years or mL."""
    low: Annotated[Finite, Field(examples=[5.0])]
    """The least value that there may be; a hospital whose table has a smaller one is stopped."""
    high: Annotated[Finite, Field(examples=[20.0])]
    """The largest value that there may be; narrower is more exact, and a wrong value is found sooner."""

    @field_validator("quantity")
    @classmethod
    def _is_a_column(cls, quantity: str) -> str:
        if quantity.casefold() in TAKEN:
            raise ValueError(
                f"'{quantity}' is the column that says which images a line is of; name the quantity otherwise"
            )
        return quantity

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"'low' is {self.low:g} and 'high' {self.high:g}: write the smaller one as 'low'")
        return self

    def quarter(self, number: int) -> str:
        """Name a quarter of the range: '25 to 50 years'."""
        ends = [self.low + (self.high - self.low) * each / QUARTERS for each in (number, number + 1)]
        return f"{ends[0]:g} to {ends[1]:g} {self.unit}"


METRICS = (
    figure("mae", "Mean absolute error", "lower", "0 is perfect", within="mean absolute error", measured=True),
    figure("rmse", "Root mean square error", "lower", measured=True),
    figure("r2", "R²", "higher", "1 is perfect, 0 is no better than the mean", 0.0),
    figure("bias", "Bias", "nearer 0", measured=True),
    figure("agreement_low", "Lower limit of agreement", "nearer 0", measured=True),
    figure("agreement_high", "Upper limit of agreement", "nearer 0", measured=True),
)


def _terms(section: Measurement) -> tuple[tuple[str, str], ...]:
    return (
        (
            "Errors",
            f"In {section.unit}. The mean absolute error is how far a told value is from the true one on average.",
        ),
        ("R²", "One less the mean square of the errors over that of telling every patient the mean; below 0 is worse."),
        (
            "Bias, limits of agreement",
            f"The mean of told less true, and {AGREEMENT:g} standard deviations below and above it: between them lie "
            "about 95 % of the differences, if these are spread evenly around the bias (Bland and Altman).",
        ),
        ("Found", "Of the images whose true value lies in a quarter of the range, those whose told value does too."),
    )


def _why_undefined(sums: MeasurementSums, metric: str) -> str:
    if not sums.records:
        return "no patients"
    return "all values are the same" if metric == "r2" else "one image has no spread"


TASK = Task[Measurement, MeasurementSums](
    name="measurement",
    section=Measurement,
    outputs=lambda section: 1,
    dense=False,
    groups=lambda section: tuple(map(section.quarter, range(QUARTERS))),
    answers=lambda section: (section.quantity,),
    empty=lambda section: MeasurementSums.empty(section.low, section.high),
    read=lambda vector, section: MeasurementSums.from_vector(vector, section.low, section.high),
    summed={
        "quarters": "counts by quarter of the range",
        "true": "sums of values by quarter",
        "squares": "sums of squared values by quarter",
        "differences": "sums of errors by quarter",
        "absolute": "sums of errors by quarter",
        "squared_differences": "squared errors by quarter",
        "loss": "losses",
    },
    metrics=METRICS,
    headline="mae",
    words=lambda section: Words(
        f"tell the {section.quantity} in {section.unit}, between {section.low:g} and {section.high:g},",
        "In a small split a sum over a quarter of the range may be one patient's value.",
    ),
    undefined=_why_undefined,
    figures=lambda vectors, section, point, whole: figures_of(vectors, section.low, section.high),
    detail=lambda sums, point: Detail(by_group=sums.by_quarter()) if sums.records else Detail(),
    intervals=intervals_of,
    noised=NoisedSums(
        cells=lambda section: noised_measurements.CELLS,
        blocks=lambda section: noised_measurements.BLOCKS,
        told=noised_measurements.told_of_measurements,
        words=lambda section: (
            "the quarters of the range in which the true and the told value lie, by where in its quarter the true one "
            "lies and the square of that, and by the error, its size and its square, of a quarter of the range at most"
        ),
        effect=noised_measurements.EFFECT,
        settled=lambda counts, section: noised_measurements.settled_measurements(counts, section.low, section.high),
        limits={
            **dict.fromkeys(("mae", "rmse"), (0.0, math.inf)),
            **dict.fromkeys(("bias", "agreement_low", "agreement_high"), (-math.inf, math.inf)),
            "r2": (-math.inf, 1.0),
        },
    ),
    terms=_terms,
    decides="It tells a number, and decides nothing.",
    verdict=("tells a value of", "test images of"),
    compared=("rmse", "r2", "bias"),
    numeric=True,
    group_words=("quarter of the range", "quarters of the range"),
    unit=lambda section: section.unit,
    coarse=True,
    fewest_groups=1,
)
