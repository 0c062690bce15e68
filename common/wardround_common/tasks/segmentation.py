"""Segmentation: outlines of one or more structures in slices or volumes, judged patient by patient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, field_validator

from wardround_common.metrics import noised_outlines
from wardround_common.metrics.outline_intervals import intervals_of
from wardround_common.metrics.outlines import OutlineSums
from wardround_common.section import Word, each_once
from wardround_common.tasks.contract import ClassesSection, Detail, Metric, NoisedSums, Task, Words


class Segmentation(ClassesSection):
    """``[task] name = "segmentation"``: outlines of the study's structures."""

    name: Annotated[Literal["segmentation"], Field(examples=["segmentation"])]
    """'segmentation': outlines of one or more structures, which do not overlap."""
    classes: Annotated[
        tuple[Word, ...],
        Field(min_length=1, max_length=100, strict=False, examples=[["tumour"]]),
    ]
    """The structures, in order: the first is 1 in a mask; anything else is background, 0."""
    dims: Annotated[Literal[2, 3], Field(examples=[2])] = 2
    """2: each slice by itself; 3: volumes."""
    loss: Annotated[Literal["dice-ce", "dice-focal"], Field(examples=["dice-ce"])] = "dice-ce"
    """'dice-ce': Dice and cross-entropy; 'dice-focal': Dice and focal loss, for structures that are small."""

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(classes)


WORST = 0.1
"""The worst tenth of the patients."""


def _metric(
    name: str,
    label: str,
    value: Callable[[OutlineSums], float | None],
    unit: str = "",
    better: Literal["higher", "lower", "nearer 0"] = "lower",
    reading: str = "",
    *,
    counts: bool = False,
) -> Metric[OutlineSums]:
    return Metric(name, label, lambda sums, point: value(sums), unit, better, reading, counts=counts)


METRICS = (
    _metric(
        "dice", "Dice", lambda sums: sums.mean_dice(), better="higher", reading="1 is the same outline, 0 none of it"
    ),
    _metric("dice_median", "Dice, median", lambda sums: sums.dice_quantile(0.5), better="higher"),
    _metric("dice_worst_tenth", "Dice, worst tenth", lambda sums: sums.dice_quantile(WORST), better="higher"),
    _metric("dice_spread", "Dice, between quartiles", lambda sums: sums.dice_spread()),
    _metric("hausdorff", "95 % Hausdorff distance", lambda sums: sums.mean_hausdorff(), "mm"),
    _metric("hausdorff_median", "95 % Hausdorff distance, median", lambda sums: sums.hausdorff_quantile(0.5), "mm"),
    _metric(
        "hausdorff_worst_tenth",
        "95 % Hausdorff distance, worst tenth",
        lambda sums: sums.hausdorff_quantile(1 - WORST),
        "mm",
    ),
    _metric("surface_distance", "Mean surface distance", lambda sums: sums.mean_surface_distance(), "mm"),
    _metric("unmeasured", "Outlined, distance not measured", lambda sums: sums.unmeasured(), counts=True),
    _metric("volume_error", "Volume error", lambda sums: sums.volume_error(), "mL"),
    _metric("volume_excess", "Volume error, signed", lambda sums: sums.volume_bias(), "mL", better="nearer 0"),
    _metric(
        "lesion_sensitivity", "Lesion sensitivity", lambda sums: sums.part_sensitivity(), better="higher", counts=True
    ),
    _metric("false_lesions", "False lesions per patient", lambda sums: sums.false_parts()),
    _metric("missed", "Patients missed", lambda sums: sums.missed(), counts=True),
    _metric("false_alarms", "False alarms", lambda sums: sums.false_alarms(), counts=True),
)


TERMS = (
    (
        "Dice",
        "Twice the overlap of both outlines over the sum of their sizes, over the whole volume of a patient with the "
        "structure. 1 is the same outline; a patient in whom nothing was outlined counts with 0.",
    ),
    (
        "95 % Hausdorff distance",
        "The distance within which 95 % of each outline's surface lies of the other, of patients in whom something was "
        "outlined: it stands beside the patients who were missed, and beside the fraction of those outlined in whom "
        "no distance could be measured, since their spacing is not known or not even.",
    ),
    (
        "Worst tenth, between quartiles",
        "The value that a tenth of the patients do not reach; and how far the middle half of the patients lies apart.",
    ),
    (
        "Lesion sensitivity, false lesions",
        "Of the connected parts of the reference, the fraction of which a voxel was outlined; and how many parts a "
        "patient has outlined where nothing is.",
    ),
    (
        "Missed, false alarms",
        "Of the patients with the structure, the fraction in whom nothing was outlined; of those without, the fraction "
        "in whom something was.",
    ),
)


def _words(section: Segmentation) -> Words:
    *first, last = [f"'{word}'" for word in section.classes]
    structures = f"{', '.join(first)} and {last}" if first else last
    how = "" if section.dims == 3 else " slice by slice"
    return Words(f"outline {structures}{how}", "In a small split a histogram's bar may stand for one patient.")


def _counted_by(section: Segmentation) -> str:
    each = "for each structure " if len(section.classes) > 1 else ""
    most = noised_outlines.MOST_PARTS
    return (
        f"{each}{noised_outlines.DICE_LEVELS} levels of Dice (or missed, false alarm, rightly empty), "
        f"{noised_outlines.DISTANCE_LEVELS} of each distance and {2 * noised_outlines.VOLUME_LEVELS} of the volume "
        f"error, and by lesions found, missed and false, at most {most} of each kind a patient"
    )


LIMITS = {
    **dict.fromkeys(
        ("hausdorff", "hausdorff_median", "hausdorff_worst_tenth", "surface_distance", "volume_error"), (0.0, math.inf)
    ),
    "volume_excess": (-math.inf, math.inf),
    "false_lesions": (0.0, math.inf),
}
"""Between which metrics lie that are no fractions."""


def _why_undefined(sums: OutlineSums, metric: str) -> str:
    if not sums.patients:
        return "no patients"
    if metric == "false_alarms":
        return "every patient has the structure"
    if not sums.dice_bins.any():
        return "no patient has the structure"
    if metric.startswith(("hausdorff", "surface", "volume")):
        return "no distance or volume could be measured: nothing was found, or the spacing is not known"
    return "it is not defined for these patients"


TASK = Task[Segmentation, OutlineSums](
    name="segmentation",
    section=Segmentation,
    outputs=lambda section: len(section.classes) + 1,
    dense=True,
    decides="It decides for the most probable structure of each place.",
    group_words=("structure", "structures"),
    fewest_groups=2,
    dims=lambda section: section.dims,
    groups=lambda section: section.classes,
    empty=lambda section: OutlineSums.empty(len(section.classes)),
    read=lambda vector, section: OutlineSums.from_vector(vector, len(section.classes)),
    summed={
        "images": "counts",
        "loss": "losses",
        "outcomes": "counts of patients by what was outlined",
        "parts": "counts of lesions",
        "dice": "sums of Dice",
        "hausdorff": "sums of surface distances",
        "surface": "sums of surface distances",
        "larger": "sums of volume errors",
        "smaller": "sums of volume errors",
        "alarm_volume": "sums of volume errors",
        "dice_bins": "histograms of each of these over patients",
        "hausdorff_bins": "histograms of each of these over patients",
        "surface_bins": "histograms of each of these over patients",
        "volume_bins": "histograms of each of these over patients",
    },
    metrics=METRICS,
    headline="dice",
    marked="outlined",
    words=_words,
    takes_series=lambda section: True,
    usual={
        "data": {
            "image_size": 128,
            "series": ({"role": "flair", "modality": "MR", "description": ("*flair*", "*dark fluid*")},),
        },
        "model": {"network": "tiny-unet", "norm": "instance"},
    },
    fractions=lambda section: ("missed", "false_alarms", "lesion_sensitivity") if len(section.classes) == 1 else (),
    intervals=intervals_of,
    noised=NoisedSums(
        cells=lambda section: noised_outlines.cells_of_outlines(len(section.classes)),
        blocks=lambda section: noised_outlines.BLOCKS * len(section.classes),
        told=noised_outlines.told_of_outlines,
        counted=lambda sums: sums.patients,
        words=_counted_by,
        effect=noised_outlines.EFFECT,
        settled=lambda counts, section: noised_outlines.settled_outlines(counts, len(section.classes)),
        limits=LIMITS,
    ),
    terms=lambda section: TERMS,
    detail=lambda sums, point: Detail(by_group=sums.by_structure() if sums.records else ()),
    verdict=("outlines", "test patients with"),
    compared=("dice_worst_tenth", "dice_spread", "hausdorff"),
    undefined=_why_undefined,
)
