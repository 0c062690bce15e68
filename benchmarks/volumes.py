"""Take in the series and outlines of several hospitals, and compare them with what their makers state.

Run with ``make volumes DATA=DIR``, where each sub-folder of DIR is a hospital. Beside its images a hospital may have
``labels.csv`` (patient, slice, position_mm, label), which says of each slice whether the outline has a voxel there, and
``series.csv`` (patient, role, series_uid), the answer key of which series is what; neither is read by what is tested.
Ends with an error if a slice, a role or a mask is not as stated.

Preparing is assembling all series from their headers and reading every slice of them, in order, as the values that a
study prepares; the bare read is ``pydicom.dcmread`` and ``pixel_array`` over the same files. Both in processor time,
medians over turns, the first one left out.
"""

from __future__ import annotations

import csv
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pydicom
from rich.console import Console
from rich.table import Table

from measure import report
from wardround_client.masks import Beside, Found, Structures, find, named
from wardround_client.volumes import Series, Survey, choose, examinations, survey
from wardround_common.study.series import Wanted

TURNS = 3
Result = TypeVar("Result")
SPIN_ECHO_T1 = {"modality": "MR", "repetition_time_ms": (0, 1000), "echo_time_ms": (0, 30)}
WANTED = (
    Wanted(role="flair", modality="MR", inversion_time_ms=(1500, 3500)),
    Wanted(role="t1", contrast=False, **SPIN_ECHO_T1),  # type: ignore[arg-type]  # a table of a study file
    Wanted(role="t1c", contrast=True, **SPIN_ECHO_T1),  # type: ignore[arg-type]
)
STRUCTURES = Structures(("tumour",), {"*abnormality*": "tumour", "tumo*r": "tumour"})
MEANINGS = {
    "series": "series assembled",
    "series_refused": "series and files refused",
    "masks_met": "masks that met their series",
    "masks_unmet": "masks that met none",
    "roles_right": "series whose role is as the answer key says, of those it lists",
    "slices_right": "slices with and without outline as stated, of those with a mask",
    "slices_outlined": "slices with an outline",
    "voxels_smallest": "voxels of the smallest outline",
    "voxels_largest": "voxels of the largest outline",
    "prepare_over_read": "processor time of assembling and reading all slices, over a bare pydicom read (at most 1.3)",
    "assemble_over_read": "of that, assembling from headers",
}


@dataclass(frozen=True)
class Hospital:
    """What a hospital's folder gave."""

    name: str
    files: tuple[Path, ...]
    survey: Survey
    found: Found


def main(folder: Path) -> None:
    """Take in each hospital, compare, measure, print and write the figures."""
    hospitals = [take_in(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    table = Table("hospital", "series", "refused", "masks met", "unmet", "roles right", "slices right", "outlined")
    totals: Counter[str] = Counter()
    voxels: list[int] = []
    for hospital in hospitals:
        counts = compare(folder / hospital.name, hospital)
        totals.update(counts)
        patients = {one.patient: hospital.found.masks[one.uid] for one in hospital.survey.series if has(hospital, one)}
        voxels += [sum(mask.voxels) for mask in patients.values()]
        table.add_row(
            hospital.name,
            f"{counts['series']:,}",
            said(Counter(one.reason for one in hospital.survey.refused)),
            f"{counts['masks_met']:,}",
            said(Counter(one.reason for one in hospital.found.unmet)),
            f"{counts['roles_right']:,} of {counts['roles']:,}",
            f"{counts['slices_right']:,} of {counts['slices']:,}",
            f"{counts['slices_outlined']:,}",
        )
    Console(width=120).print(table)
    ratios = measure([file for hospital in hospitals for file in images_of(hospital)])
    figures = {name: float(totals[name]) for name in MEANINGS if name in totals}
    figures |= {"voxels_smallest": float(min(voxels)), "voxels_largest": float(max(voxels))}
    report("volumes", figures | ratios, MEANINGS)
    wrong = totals["roles"] - totals["roles_right"] + totals["slices"] - totals["slices_right"] + totals["masks_unmet"]
    if wrong:
        sys.exit(f"{wrong:,} roles, slices or masks are not as stated")


def take_in(folder: Path) -> Hospital:
    """Assemble the series of a hospital and find their masks."""
    beside: Sequence[Beside] = named(folder)
    masks = {one.mask for one in beside}
    files = tuple(
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".csv" and path not in masks
    )
    surveyed = survey(files)
    return Hospital(folder.name, files, surveyed, find(surveyed.series, surveyed.outlines, STRUCTURES, beside=beside))


def compare(folder: Path, hospital: Hospital) -> Counter[str]:
    """Count what is as the hospital's tables state, and of how many."""
    counts = Counter(
        series=len(hospital.survey.series),
        series_refused=len(hospital.survey.refused),
        masks_met=hospital.found.counts()["met"],
        masks_unmet=len(hospital.found.unmet),
    )
    key = {(row["patient"], row["role"]): row["series_uid"] for row in rows_of(folder / "series.csv")}
    taken = {}
    for (patient, _), series in examinations(hospital.survey.series).items():
        for role, one in choose(series, WANTED).taken.items():
            taken[patient, role] = one.uid
    counts["roles"] = len(key | taken)
    counts["roles_right"] = sum(taken.get(which) == uid for which, uid in key.items())
    stated: dict[str, list[tuple[float, bool]]] = {}
    for row in rows_of(folder / "labels.csv"):
        stated.setdefault(row["patient"], []).append((float(row["position_mm"]), row["label"] != "none"))
    for patient, one in {one.patient: one for one in hospital.survey.series if has(hospital, one)}.items():
        outlined = hospital.found.masks[one.uid].volume().any(axis=(1, 2))
        expected = np.array([label for _, label in sorted(stated.get(patient, []))])
        counts["slices"] += len(outlined)
        counts["slices_right"] += int((outlined == expected).sum()) if outlined.shape == expected.shape else 0
        counts["slices_outlined"] += int(outlined.sum())
    return counts


def has(hospital: Hospital, series: Series) -> bool:
    """Say whether a series has a mask."""
    return series.uid in hospital.found.masks


def images_of(hospital: Hospital) -> list[Path]:
    """Return the files that hold the slices of a hospital's series."""
    return sorted(set().union(*(series.files for series in hospital.survey.series)))


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a table; none if it is not there."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def said(counts: Mapping[str, int]) -> str:
    """Write counts by reason."""
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "0"


def measure(files: Sequence[Path]) -> dict[str, float]:
    """Compare preparing with a bare read."""
    times: list[tuple[float, float, float]] = []
    for turn in range(TURNS + 1):
        bare, _ = seconds(lambda: [pydicom.dcmread(file).pixel_array.size for file in files])
        assembling, found = seconds(lambda: survey(files))
        reading, _ = seconds(lambda found=found: [values.size for series in found.series for values in series])
        if turn:  # the first one warms the disk's cache
            times.append((bare, assembling, reading))
    bare, assembling, reading = (statistics.median(kind) for kind in zip(*times, strict=True))
    return {"prepare_over_read": (assembling + reading) / bare, "assemble_over_read": assembling / bare}


def seconds(work: Callable[[], Result]) -> tuple[float, Result]:
    """Measure the processor time of one run."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
