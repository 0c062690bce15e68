"""Detection: a box around each lesion of an image or a slice, judged lesion by lesion."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, field_validator

from wardround_common.metrics.box_intervals import intervals_of
from wardround_common.metrics.boxes import AT_FALSE_POSITIVES, FALSE_POSITIVES, BoxSums, figures_of
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.section import Word, each_once
from wardround_common.tasks.contract import ClassesSection, Detail, Task, Words, figure

PLACES = 4
"""Outputs of a pixel besides the classes: where the box's centre lies from it, down and right, and its two sides."""


class Detection(ClassesSection):
    """``[task] name = "detection"``: a box around each lesion."""

    name: Annotated[Literal["detection"], Field(examples=["detection"])]
    """'detection': a box around each lesion of an image or a slice."""
    classes: Annotated[
        tuple[Word, ...],
        Field(min_length=1, max_length=20, strict=False, examples=[["lesion"]]),
    ]
    """The kinds of lesions, in order."""
    boxes: Annotated[Literal["table", "reports", "masks"], Field(examples=["table"])] = "table"
    """'table': boxes.csv; 'reports': DICOM SR, TID 1500; 'masks': around outlines, on slices of [[data.series]]."""

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(classes)


METRICS = (
    figure("ap_iou10", "AP at IoU 0.1", reading="1: all lesions are found, before any false positive"),
    figure("ap_iou50", "AP at IoU 0.5"),
    figure("froc", "FROC score", counts=True),
    *(
        figure(name, f"Sensitivity at {Fraction(each)} false positive{'s' if each > 1 else ''} an image", counts=True)
        for name, each in zip(AT_FALSE_POSITIVES, FALSE_POSITIVES, strict=True)
    ),
    figure("sensitivity", "Sensitivity", counts=True),
    figure("false_positives", "False positives an image", "lower"),
    figure("precision", "Precision", counts=True),
)

TERMS = (
    (
        "AP at IoU 0.1, 0.5",
        "Average precision: the precision of the boxes, the most confident first, averaged over the share of lesions "
        "that they find. A box finds a lesion if their overlap (intersection over union) is 0.1 or 0.5 or more.",
    ),
    (
        "FROC score",
        "The fraction of lesions that is found where there are 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives an image, "
        "the mean of these seven; at an overlap of 0.1.",
    ),
    (
        "Sensitivity, false positives, precision",
        "Of the lesions, the fraction that is found; how many boxes an image has that find none; and of the boxes the "
        "fraction that finds one: all three at the operating point, which is the lowest confidence with no more than "
        "one false positive an image on the validation patients.",
    ),
)
SEVERAL = (
    "Several classes",
    f"Each class is judged by itself, and the mean is over the classes with {LEAST_RECORDS} lesions or more, as long "
    "as there is one.",
)


def _words(section: Detection) -> Words:
    *first, last = [f"'{word}'" for word in section.classes]
    kinds = f"{', '.join(first)} and {last}" if first else last
    where = " slice by slice" if section.boxes == "masks" else ""
    return Words(
        f"draw a box around each {kinds}{where}", "In a small split a histogram's bar may stand for one patient."
    )


def _why_undefined(sums: BoxSums, metric: str) -> str:
    if not sums.records:
        return "no patients"
    if metric == "precision":
        return "no box is confident enough"
    return "no lesion is in these images"


TASK = Task[Detection, BoxSums](
    name="detection",
    section=Detection,
    outputs=lambda section: len(section.classes) + PLACES,
    dense=True,
    groups=lambda section: section.classes,
    empty=lambda section: BoxSums.empty(len(section.classes)),
    read=lambda vector, section: BoxSums.from_vector(vector, len(section.classes)),
    summed={
        "images": "counts",
        "loss": "losses",
        "lesions": "counts of lesions",
        "drawn": "histograms of the confidence of boxes",
        "overlapping": "histograms of the confidence of those that found a lesion",
        "close": "histograms of the confidence of those that found a lesion",
    },
    metrics=METRICS,
    headline="ap_iou10",
    bends=False,
    marked="marked",
    words=_words,
    point=lambda sums, sensitivity: sums.threshold(),
    said_of_point=lambda section, sensitivity: "at most 1 false positive an image",
    takes_series=lambda section: section.boxes == "masks",
    usual={"data": {"image_size": 128}, "model": {"network": "tiny-unet", "norm": "instance"}},
    undefined=_why_undefined,
    figures=lambda vectors, section, point, whole: figures_of(vectors, len(section.classes), point, whole.counted()),
    detail=lambda sums, point: Detail(by_group=sums.by_class(point) if sums.records else ()),
    intervals=intervals_of,
    fractions=lambda section: ("sensitivity", "precision") if len(section.classes) == 1 else (),
    terms=lambda section: (*TERMS, SEVERAL) if len(section.classes) > 1 else TERMS,
    decisions=("sensitivity", "false_positives"),
    verdict=("draws a box around", "test lesions of the class"),
    fewest_groups=2,
    compared=("ap_iou50", "froc", "sensitivity_1fp"),
)
