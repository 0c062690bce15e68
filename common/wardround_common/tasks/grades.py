"""Grades: one of the study's classes for each image, which are in an order."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator

from wardround_common.metrics.grades import GradeSums, figures_of, intervals_of, settled
from wardround_common.section import Word, each_once
from wardround_common.tasks.contract import ClassesSection, Detail, NoisedSums, Task, Words, figure


class Grades(ClassesSection):
    """``[task] name = "grades"``: one label for each image, of several in an order."""

    name: Annotated[Literal["grades"], Field(examples=["grades"])]
    """'grades': one label for each image, of several in an order, such as a stage."""
    classes: Annotated[
        tuple[Word, ...], Field(min_length=3, max_length=20, strict=False, examples=[["0", "1", "2", "3"]])
    ]
    """The label words, from the lowest grade to the highest, three or more; two are a classification."""

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(classes)


METRICS = (
    figure("kappa", "Weighted kappa", "higher", "1 is perfect, 0 is chance", 0.0, "weighted kappa"),
    figure("mae", "Mean absolute error, in grades", "lower"),
    figure("bias", "Bias, in grades", "nearer 0"),
    figure("accuracy", "Accuracy", "higher"),
    figure("within_one", "Within one grade", "higher"),
)

TERMS = (
    (
        "Weighted kappa",
        "Agreement of decided and true grades beyond chance, where a disagreement by two grades counts four times as "
        "much as one by one (Cohen 1968). It depends on how common the grades are.",
    ),
    ("Error and bias in grades", "How many grades a decision is off on average; and the mean of decided less true."),
    ("Within one grade", "The fraction of images that are decided at most one grade off."),
)


def _words(section: Grades) -> Words:
    words = [f"'{word}'" for word in section.classes]
    return Words(
        f"tell the grade, one of {', '.join(words[:-1])} and {words[-1]} in this order,",
        "In a small split a count may stand for one patient.",
    )


TASK = Task[Grades, GradeSums](
    name="grades",
    section=Grades,
    outputs=lambda section: len(section.classes) - 1,
    dense=False,
    groups=lambda section: section.classes,
    empty=lambda section: GradeSums.empty(len(section.classes)),
    read=lambda vector, section: GradeSums.from_vector(vector, len(section.classes)),
    summed={"confusion": "counts by true and decided grade", "loss": "losses"},
    metrics=METRICS,
    headline="kappa",
    words=_words,
    undefined=lambda sums, metric: "all images are and get one grade" if sums.records else "no patients",
    figures=lambda vectors, section, point, whole: figures_of(vectors, len(section.classes)),
    detail=lambda sums, point: Detail(
        confusion=tuple(map(tuple, sums.confusion.tolist())), by_group=sums.by_grade() if sums.records else ()
    ),
    intervals=intervals_of,
    noised=NoisedSums(
        cells=lambda section: len(section.classes) ** 2,
        blocks=lambda section: 1,
        told=lambda sums: sums.confusion.ravel(),
        words=lambda section: "true and decided grade",
        effect="Weighted kappa is mostly a little too low, and the loss is no more than a guess from what is decided",
        settled=lambda counts, section: settled(counts, len(section.classes)),
        limits={"kappa": (-1.0, 1.0), "mae": (0.0, math.inf), "bias": (-math.inf, math.inf)},
    ),
    fractions=lambda section: ("accuracy", "within_one"),
    terms=lambda section: TERMS,
    decides="It decides for the highest grade that is more likely reached than not.",
    verdict=("decides for", "test images of"),
    compared=("mae", "bias", "accuracy"),
    group_words=("grade", "grades"),
    coarse=True,
)
