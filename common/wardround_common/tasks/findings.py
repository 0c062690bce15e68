"""Findings: of each of several, how likely it is in an image; of some of them it may be unknown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from wardround_common.metrics import noised_scores
from wardround_common.metrics.calibration import reliability, temperature
from wardround_common.metrics.findings import FindingSums, macro
from wardround_common.metrics.shapes import LEAST_RECORDS, Points, curves_of
from wardround_common.section import Word, each_once
from wardround_common.tasks.classification import TERMS
from wardround_common.tasks.contract import ClassesSection, Detail, NoisedSums, Task, Words, figure

TAKEN = frozenset({"file", "uid", "patient"})
"""Columns of a table of labels that say which images a line is of."""


class Findings(ClassesSection):
    """``[task] name = "findings"``: several labels for each image, each present, absent or unknown."""

    name: Annotated[Literal["findings"], Field(examples=["findings"])]
    """'findings': of each image which of several findings it shows; one, several or none, and some may be unknown."""
    classes: Annotated[
        tuple[Word, ...],
        Field(min_length=1, max_length=100, strict=False, examples=[["mass", "calcification"]]),
    ]
    """The findings; each is a column of every hospital's table: 1 is present, 0 absent, an empty cell unknown."""

    @field_validator("classes")
    @classmethod
    def _columns_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if taken := sorted(TAKEN & {word.casefold() for word in classes}):
            raise ValueError(
                f"'{taken[0]}' is the column that says which images a line is of; name the finding otherwise"
            )
        each_once(tuple(word.casefold() for word in classes))
        return classes


METRICS = (
    figure("auroc", "AUROC", reading="mean over the findings; 1 is perfect, 0.5 is chance", chance=0.5),
    figure("auprc", "AUPRC"),
    figure("sensitivity", "Sensitivity", counts=True),
    figure("specificity", "Specificity", counts=True),
    figure("ppv", "PPV", counts=True),
    figure("npv", "NPV", counts=True),
    figure("f1", "F1", counts=True),
    figure("balanced_accuracy", "Balanced accuracy", counts=True),
    figure("brier", "Brier score", "lower"),
    figure("calibration_error", "Calibration error", "lower"),
)

SEVERAL = (
    "Several findings",
    "Each finding is judged on the images of which it is known, at an operating point of its own, and the mean is "
    f"taken over the findings with {LEAST_RECORDS} images or more on either side; where no finding has, over all.",
)


def _detail(sums: FindingSums, points: Points | None) -> Detail:
    if not sums.records:
        return Detail()
    roc, precision_recall = curves_of(sums.histograms[sums.counted()])  # as the means are
    return Detail(
        roc=roc,
        precision_recall=precision_recall,
        reliability=reliability(sums.histograms),
        by_group=sums.by_finding(points),
    )


def _words(section: Findings) -> Words:
    words = [f"'{word}'" for word in section.classes]
    listed = f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
    return Words(
        f"tell how likely {listed} {'are' if len(words) > 1 else 'is'} to be there, each by itself,",
        "In a small split a histogram's bar may stand for one patient.",
    )


def _why_undefined(sums: FindingSums, metric: str) -> str:
    if not sums.records:
        return "no patients"
    if metric in ("ppv", "npv", "f1"):
        return "the model decides the same for every image"
    return "no finding is known both to be in some images and not in others"


TASK = Task[Findings, FindingSums](
    name="findings",
    section=Findings,
    outputs=lambda section: len(section.classes),
    dense=False,
    groups=lambda section: section.classes,
    answers=lambda section: section.classes,
    empty=lambda section: FindingSums.empty(len(section.classes)),
    read=lambda vector, section: FindingSums.from_vector(vector, len(section.classes)),
    summed={
        "histograms": "histograms of the model's scores by finding",
        "squared_errors": "squared errors by finding",
        "images": "counts",
        "loss": "losses",
    },
    metrics=METRICS,
    headline="auroc",
    told="with which findings",
    words=_words,
    point=lambda sums, sensitivity: sums.operating_points(sensitivity),
    temperature=lambda sums: temperature(sums.histograms),
    undefined=_why_undefined,
    figures=lambda vectors, section, points, whole: macro(vectors, len(section.classes), points, whole.counted()),
    detail=_detail,
    intervals=lambda sums, points, metrics: sums.intervals(points, metrics),
    in_levels=lambda sums: sums.in_levels(),
    noised=NoisedSums(
        cells=lambda section: noised_scores.cells_of_findings(len(section.classes)),
        blocks=lambda section: len(section.classes) + 1,
        told=noised_scores.told_of_findings,
        words=lambda section: (
            f"{noised_scores.LEVELS} levels of the model's scores, by finding and whether it is there, and in all"
        ),
        effect=noised_scores.EFFECT,
        settled=lambda counts, section: noised_scores.settled_findings(counts, len(section.classes)),
    ),
    margin=lambda sums: sums.auroc_margin(),
    terms=lambda section: (*TERMS, SEVERAL),
    decisions=("sensitivity", "specificity"),
    verdict=("decides for", "test images of"),
    compared=("auprc", "sensitivity", "specificity"),
    apart=True,
    group_words=("finding", "findings"),
    fewest_groups=1,
)
