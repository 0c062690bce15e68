"""Three small hospitals with outlines, made here: each stores its series and its masks in another way.

A patient has a FLAIR and a T1 series of a few slices; a bright disc in the FLAIR series is outlined. ``north`` keeps a
folder for a series, and structure sets; ``east`` one flat folder, and NIfTI masks; ``south`` DICOM segmentations.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from pydicom import FileDataset
from pydicom.uid import generate_uid

from examples import study
from series_made import AXIAL, contour, segmentation, structure_set
from tiny_dicom import save, tiny
from wardround_common.study.file import Study

SIZE, SLICES, STEP_MM, PIXEL_MM = 16, 4, 5.0, 2.0
HOSPITALS = ("north", "east", "south")
SERIES = (("flair", "FLAIR AX"), ("t1", "T1 AX"))
_NO_STUDY_FACTS = ("StudyID", "AccessionNumber", "StudyDate", "StudyTime", "PatientBirthDate", "PatientSex")


@dataclass(frozen=True)
class Patient:
    """One patient as written: their series by role, and what is outlined."""

    name: str
    series: dict[str, list[FileDataset]]
    mask: np.ndarray
    """(slices, rows, columns) uint8."""


def outlining(**sections: dict[str, Any]) -> Study:
    """Return a small study that outlines the disc in the FLAIR series."""
    return study(
        **{
            "data": {
                "modalities": ["MR"],
                "image_size": 16,
                "intensity": "percentile",
                "series": [{"role": "flair", "description": ["*flair*"]}],
                **sections.pop("data", {}),
            },
            "model": {"network": "tiny-unet", "norm": "instance", **sections.pop("model", {})},
            "training": {"rounds": 2, "batch_size": 8, "learning_rate": 0.1, **sections.pop("training", {})},
        }
        | sections,
        task={"name": "segmentation", "classes": ["tumour"]},
    )


def outlining_volumes(**sections: dict[str, Any]) -> Study:
    """Return a small study of volumes: what :func:`outlining` outlines slice by slice."""
    data = {
        "modalities": ["MR"],
        "image_size": None,
        "intensity": "percentile",
        "series": [{"role": "flair", "description": ["*flair*"]}],
        "spacing_mm": [STEP_MM, PIXEL_MM, PIXEL_MM],
        "patch_size": [8, 16, 16],
        **sections.pop("data", {}),
    }
    training = {"rounds": 2, "batch_size": 4, "learning_rate": 0.1, **sections.pop("training", {})}
    return study(
        **{"data": data, "model": {"network": "tiny-unet", "norm": "instance"}, "training": training} | sections,
        task={"name": "segmentation", "classes": ["tumour"], "dims": 3},
    )


def write_hospitals(folder: Path, patients: int = 5) -> dict[str, list[Patient]]:
    """Write all three below a folder."""
    return {name: write_hospital(folder / name, name, patients) for name in HOSPITALS}


def write_hospital(folder: Path, name: str, patients: int = 5) -> list[Patient]:
    """Write the images and the masks of one hospital."""
    made = [patient_of(name, number) for number in range(patients)]
    for one in made:
        for role, slices in one.series.items():
            for at, stored in enumerate(slices):
                flat = folder / "images" / stored.SOPInstanceUID[-12:]
                save(stored, flat if name == "east" else folder / one.name / role / f"{SLICES - at}.dcm")
        write_mask(folder, name, one)
    return made


def write_mask(folder: Path, hospital: str, one: Patient, mask: np.ndarray | None = None) -> Path:
    """Write what is outlined in a patient's FLAIR series, in the way of a hospital."""
    drawn, source = one.mask if mask is None else mask, one.series["flair"]
    if hospital == "east":
        (folder / "masks").mkdir(parents=True, exist_ok=True)
        affine = np.diag([-PIXEL_MM, -PIXEL_MM, STEP_MM, 1.0])  # towards the right and the front
        path = folder / "masks" / f"{one.name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(drawn.transpose(2, 1, 0), affine), path)
        return path
    if hospital == "south":
        return save(segmentation(source, drawn.astype(bool)), folder / one.name / "outline.dcm")
    contours = [contour(_square(plane, at), source[at]) for at, plane in enumerate(drawn) if plane.any()]
    return save(structure_set(source[0], {"tumour": contours}), folder / one.name / "outline.dcm")


def _square(plane: np.ndarray, at: int) -> list[tuple[float, float, float]]:
    rows, columns = np.nonzero(plane)
    low_y, high_y = (rows.min() - 0.5) * PIXEL_MM, (rows.max() + 0.5) * PIXEL_MM
    low_x, high_x = (columns.min() - 0.5) * PIXEL_MM, (columns.max() + 0.5) * PIXEL_MM
    height = at * STEP_MM
    return [(low_x, low_y, height), (high_x, low_y, height), (high_x, high_y, height), (low_x, high_y, height)]


def patient_of(hospital: str, number: int) -> Patient:
    """Make one patient: noise, and a bright square in the middle slices of the FLAIR series."""
    rng = np.random.default_rng([HOSPITALS.index(hospital), number])
    name, study_uid, frame = f"{hospital.upper()}-{number}", generate_uid(), generate_uid()
    mask = np.zeros((SLICES, SIZE, SIZE), np.uint8)
    row, column = rng.integers(2, SIZE - 8, 2)
    mask[1:3, row : row + 5, column : column + 6] = 1
    series = {}
    for role, description in SERIES:
        uid, levels = generate_uid(), rng.integers(0, 300, (SLICES, SIZE, SIZE))
        if role == "flair":
            levels[mask > 0] += 600
        series[role] = [
            tiny(
                levels[at].astype(np.uint16),
                PatientID=name,
                PatientName=f"{name}^",
                StudyInstanceUID=study_uid,
                SeriesInstanceUID=uid,
                FrameOfReferenceUID=frame,
                SeriesDescription=description,
                ImagePositionPatient=[0.0, 0.0, at * STEP_MM],
                ImageOrientationPatient=list(AXIAL),
                PixelSpacing=[PIXEL_MM, PIXEL_MM],
                SliceThickness=STEP_MM,
                ImageType=["ORIGINAL", "PRIMARY", "M"],
                ReferringPhysicianName="",
                **dict.fromkeys(_NO_STUDY_FACTS, ""),
            )
            for at in range(SLICES)
        ]
    return Patient(name, series, mask)
