"""Classification: one of the study's classes for each image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from wardround_common.metrics import noised_scores
from wardround_common.metrics.calibration import reliability, temperature
from wardround_common.metrics.score_intervals import intervals_of
from wardround_common.metrics.shapes import LEAST_RECORDS, curves_of
from wardround_common.metrics.sums import ScoreSums, figures_of
from wardround_common.section import Word, each_once
from wardround_common.tasks.contract import ClassesSection, Detail, NoisedSums, Task, Words, figure


class Classification(ClassesSection):
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


METRICS = (
    figure("auroc", "AUROC", reading="1 is perfect, 0.5 is chance", chance=0.5),
    figure("auprc", "AUPRC"),
    figure("sensitivity", "Sensitivity", counts=True),
    figure("specificity", "Specificity", counts=True),
    figure("ppv", "PPV", counts=True),
    figure("npv", "NPV", counts=True),
    figure("f1", "F1", counts=True),
    figure("balanced_accuracy", "Balanced accuracy", counts=True),
    figure("accuracy", "Accuracy"),
    figure("brier", "Brier score", "lower"),
    figure("calibration_error", "Calibration error", "lower"),
)


FRACTIONS = ("sensitivity", "specificity", "ppv", "npv")
"""Of two classes; of more they are means over the classes."""


def _detail(sums: ScoreSums, point: float | None) -> Detail:
    several = len(sums.histograms) > 1  # of two classes there is one curve, and no mean
    roc, precision_recall = curves_of(sums.histograms[sums.counted()] if several else sums.histograms)
    confusion = tuple(tuple(row) for row in sums.decided(point).tolist())
    bins = reliability(sums.histograms) if sums.records else None
    return Detail(confusion, roc, precision_recall, bins, sums.by_class(point) if sums.records else ())


def _words(section: Classification) -> Words:
    words = [f"'{word}'" for word in section.classes]
    apart = f"{words[0]} from {words[1]}" if len(words) == 2 else f"apart {', '.join(words[:-1])} and {words[-1]}"
    return Words(f"tell {apart}", "In a small split a histogram's bar may stand for one patient.")


TWO_CLASSES = Classification(name="classification", classes=("no-finding", "finding"))
"""The task of networks of ours that attack or audit what a study does."""

TERMS = (
    (
        "AUROC",
        "The chance that a patient’s image with the finding scores higher than one without. 0.5 is chance, 1 is "
        "perfect.",
    ),
    (
        "AUPRC",
        "Average precision: the mean, over the images with the finding, of the share of true findings among all images "
        "that score as high. Chance is the share of images with the finding.",
    ),
    (
        "Sensitivity, specificity",
        "Of the images with the finding, the fraction that is found; of those without, the fraction that is left "
        "alone; both at the operating point.",
    ),
    (
        "PPV, NPV",
        "Of the images that the model calls a finding, the fraction that is one; of the others, the fraction that is "
        "none. They depend on how common the finding is among the test patients.",
    ),
    (
        "Brier score, calibration",
        "Mean squared error of the probabilities; and how far a probability is, on average over 16 bins, from the "
        "fraction that turns out to be so. Lower is better.",
    ),
)
SEVERAL = (
    "Several classes",
    "Each class is judged against the rest and the mean is taken over the classes that occur, and not over those "
    f"with fewer than {LEAST_RECORDS} images on either side, as long as another one is left. The Brier score is the "
    "sum over the classes, from 0 to 2.",
)


def _terms(section: Classification) -> tuple[tuple[str, str], ...]:
    return (*TERMS, SEVERAL) if len(section.classes) > 2 else TERMS


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
    told="with which label",
    words=_words,
    point=lambda sums, sensitivity: sums.operating_threshold(sensitivity),
    temperature=lambda sums: temperature(sums.histograms),
    weighted=lambda section: section.classes,
    undefined=_why_undefined,
    figures=lambda vectors, section, point, whole: figures_of(vectors, len(section.classes), point, whole.counted()),
    detail=_detail,
    intervals=intervals_of,
    in_levels=lambda sums: sums.in_levels(),
    noised=NoisedSums(
        cells=lambda section: noised_scores.cells_of(len(section.classes)),
        blocks=lambda section: noised_scores.blocks_of(len(section.classes)),
        told=noised_scores.told,
        words=lambda section: (
            f"{noised_scores.LEVELS} levels of the model's score{'s' if len(section.classes) > 2 else ''} and by label"
            f"{', and by label and decision' if len(section.classes) > 2 else ''}"
        ),
        effect=noised_scores.EFFECT,
        settled=lambda counts, section: noised_scores.settled(counts, len(section.classes)),
        limits={"brier": (0.0, 2.0)},
    ),
    margin=lambda sums: sums.auroc_margin(),
    fractions=lambda section: ("accuracy", *(FRACTIONS if len(section.classes) == 2 else ())),
    terms=_terms,
    decisions=("sensitivity", "specificity"),
    verdict=("decides for", "test images of"),
    compared=("auprc", "sensitivity", "specificity"),
)
