"""Risk: how likely an event is by each of some times, where not everybody was followed until then."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from wardround_common.metrics import noised_risks
from wardround_common.metrics.shapes import HorizonFigures, ReliabilityBins, numbers
from wardround_common.metrics.survival import RiskSums, at_time, figures_of, intervals_of
from wardround_common.tasks.contract import Detail, NoisedSums, Task, TaskSection, Words, figure


class Risk(TaskSection):
    """``[task] name = "risk"``: the time to an event, in intervals (discrete-time hazards)."""

    name: Annotated[Literal["risk"], Field(examples=["risk"])]
    """'risk': how likely an event is by each of the times; labels are a time and whether the event came then."""
    times: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1e6)], ...],
        Field(min_length=1, max_length=20, strict=False, examples=[[1.0, 2.0, 3.0, 5.0]]),
    ]
    """Where intervals end, rising, in the unit of the tables; the risk is told at each. What is later is not told."""
    unit: Annotated[Literal["days", "weeks", "months", "years"], Field(examples=["years"])]
    """The unit of the times, here and in every hospital's table: 'days', 'weeks', 'months' or 'years'."""

    @field_validator("times")
    @classmethod
    def _times_rise(cls, times: tuple[float, ...]) -> tuple[float, ...]:
        if list(times) != sorted(set(times)):
            raise ValueError("the times rise, each once, such as [1.0, 2.0, 5.0]")
        return times

    def by(self, time: int) -> str:
        """Name a time: '5 years'."""
        return f"{self.times[time]:g} {self.unit if self.times[time] != 1 else self.unit[:-1]}"


METRICS = (
    figure("c_index", "C-index", "higher", "1 is perfect, 0.5 is chance", 0.5),
    figure("brier", "Brier score, mean over the times", "lower"),
    figure("brier_skill", "Brier skill", "higher", chance=0.0),
    figure("calibration_error", "Calibration error", "lower"),
    figure("excess_risk", "Risk less observed, last time", "nearer 0"),
)

TERMS = (
    (
        "C-index",
        "Of the pairs of images in which one patient had the event in an earlier interval than the other was free of "
        "it: the fraction in which the first has the higher risk at the last time. Pairs are of all hospitals; 0.5 is "
        "chance.",
    ),
    (
        "Observed",
        "What became of the patients, by Kaplan-Meier: those who were followed for a shorter time count for that long.",
    ),
    (
        "Brier score, skill",
        "Mean squared error of the risk at a time; those who were not followed until then are made up for by the "
        "others (inverse probability of censoring). Skill: how much smaller it is than if everybody had the observed "
        "risk.",
    ),
    (
        "Calibration error",
        "How far the risk is from what was observed, on average over 16 bins of the risk and over the times.",
    ),
)


def _detail(sums: RiskSums, point: float | None) -> Detail:
    if not sums.records:
        return Detail()
    shown = [at_time(sums.to_vector()[None], sums.times, time) for time in range(sums.times)]
    last = shown[-1]
    bins = ReliabilityBins(
        predicted=numbers(last.bins_predicted[0]),
        observed=numbers(last.bins_observed[0]),
        counts=tuple(last.bins[0].astype(np.int64).tolist()),
    )
    figures = [numbers(np.array([one.predicted[0], one.observed[0], one.brier[0]])) for one in shown]
    horizons = tuple(HorizonFigures(predicted=p, observed=o, brier=b) for p, o, b in figures)
    return Detail(reliability=bins, horizons=horizons)


def _words(section: Risk) -> Words:
    times = [f"{time:g}" for time in section.times]
    by = f"{', '.join(times[:-1])} and {times[-1]}" if len(times) > 1 else times[0]
    return Words(
        f"tell how likely an event is by {by} {section.unit}", "In a small split a count may stand for one patient."
    )


def _why_undefined(sums: RiskSums, metric: str) -> str:
    if not sums.records:
        return "no patients"
    if metric == "c_index":
        return "no event came before somebody else was free of it"
    return "nobody was followed until the last time"


TASK = Task[Risk, RiskSums](
    name="risk",
    section=Risk,
    outputs=lambda section: len(section.times),
    dense=False,
    groups=lambda section: ("event", "no event seen"),
    answers=lambda section: ("time", "event"),
    empty=lambda section: RiskSums.empty(len(section.times)),
    read=lambda vector, section: RiskSums.from_vector(vector, len(section.times)),
    summed={
        "ranks": "counts by interval, event and risk",
        "risks": "counts by interval, event and risk",
        "predicted": "sums of risks",
        "errors": "squared errors by interval and event",
        "loss": "losses",
    },
    metrics=METRICS,
    headline="c_index",
    told="what became of them",
    words=_words,
    undefined=_why_undefined,
    figures=lambda vectors, section, point, whole: figures_of(vectors, len(section.times)),
    detail=_detail,
    intervals=intervals_of,
    in_levels=lambda sums: sums.in_levels(),
    noised=NoisedSums(
        cells=lambda section: noised_risks.cells_of_risks(len(section.times)),
        blocks=lambda section: len(section.times),
        told=noised_risks.told_of_risks,
        words=lambda section: f"{noised_risks.LEVELS} levels of the risk at each time, and by interval and event",
        effect=noised_risks.EFFECT,
        settled=lambda counts, section: noised_risks.settled_risks(counts, len(section.times)),
        limits={"brier_skill": (-math.inf, 1.0), "excess_risk": (-1.0, 1.0)},
    ),
    terms=lambda section: TERMS,
    horizons=lambda section: tuple(map(section.by, range(len(section.times)))),
    decides="It tells risks, and decides nothing.",
    compared=("brier", "brier_skill", "excess_risk"),
)
