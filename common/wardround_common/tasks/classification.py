"""Classification: one of the study's classes for each image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from wardround_common.metrics.decisions import DECISION_METRICS, decisions_of
from wardround_common.metrics.sums import ScoreSums
from wardround_common.section import Word, each_once
from wardround_common.tasks.contract import Metric, Task, TaskSection, Words


class Classification(TaskSection):
    """``[task] name = "classification"``: one label for each image."""

    name: Annotated[Literal["classification"], Field(examples=["classification"])]
    """'classification': one label for each image."""
    classes: Annotated[
        tuple[Word, ...],
        Field(min_length=2, max_length=100, strict=False, examples=[["no-finding", "finding"]]),
    ]
    """The label words, in order; with two classes the second one is the finding."""

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(classes)


def _decision(name: str) -> Metric[ScoreSums]:
    def value(sums: ScoreSums, point: float | None) -> float | None:
        found = decisions_of(sums.decided(point))[name]
        return None if found != found else found  # NaN: none of these images

    labels = {"ppv": "PPV", "npv": "NPV", "f1": "F1", "balanced_accuracy": "Balanced accuracy"}
    return Metric(name, labels.get(name, name.capitalize()), value)


METRICS = (
    Metric[ScoreSums]("auroc", "AUROC", lambda sums, point: sums.auroc()),
    Metric[ScoreSums]("auprc", "AUPRC", lambda sums, point: sums.auprc()),
    *map(_decision, DECISION_METRICS),
    Metric[ScoreSums]("brier", "Brier score", lambda sums, point: sums.brier(), better="lower"),
    Metric[ScoreSums](
        "calibration_error", "Calibration error", lambda sums, point: sums.calibration_error(), better="lower"
    ),
)


def _words(section: Classification) -> Words:
    words = [f"'{word}'" for word in section.classes]
    apart = f"{words[0]} from {words[1]}" if len(words) == 2 else f"apart {', '.join(words[:-1])} and {words[-1]}"
    return Words(f"tell {apart}", "In a small split a histogram's bar may stand for one patient.")


def _why_undefined(sums: ScoreSums, metric: str) -> str:
    if not sums.records:
        return "no patients"
    if int((sums.confusion.sum(axis=1) > 0).sum()) < 2 and metric not in ("ppv", "npv"):
        return "all images are of one class"
    return "the model decides the same for every image"


TASK = Task[Classification, ScoreSums](
    name="classification",
    section=Classification,
    outputs=lambda section: len(section.classes),
    dense=False,
    groups=lambda section: section.classes,
    empty=lambda section: ScoreSums.empty(len(section.classes)),
    read=lambda vector, section: ScoreSums.from_vector(vector, len(section.classes)),
    summed={
        "confusion": "counts",
        "loss": "losses",
        "squared_error": "squared errors",
        "histograms": "histograms of the model's scores by class",
    },
    metrics=METRICS,
    headline="auroc",
    words=_words,
    point=lambda sums, sensitivity: sums.operating_threshold(sensitivity),
    weighted=lambda section: section.classes,
    undefined=_why_undefined,
)
