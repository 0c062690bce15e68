"""A patient in whom nothing is symmetric, stored in each plane and each of the eight ways round, made here."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import FileDataset
from pydicom.uid import generate_uid

from series_made import segmentation
from tiny_dicom import save, tiny
from wardround_client.images.hanging import Turn

PLANES = ("axial", "coronal", "sagittal")
TURNS = tuple(Turn(*ways) for ways in product((False, True), repeat=3))
TURNED = [(plane, turn) for plane in PLANES for turn in TURNS]
SIDES_MM = np.array([1.5, 1.0, 2.0])
"""Of a voxel, towards left, back and head."""
_LEFT, _BACK, _HEAD = np.eye(3)
WAYS = {"axial": (_BACK, _LEFT, _HEAD), "coronal": (-_HEAD, _LEFT, _BACK), "sagittal": (-_HEAD, _BACK, _LEFT)}
"""Of slices that hang: from row to row, from column to column, and from slice to slice."""
_AXES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
_NO_STUDY_FACTS = ("StudyID", "AccessionNumber", "StudyDate", "StudyTime", "PatientBirthDate", "PatientSex")


def patient(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return values and outline, (left, back, head): noise that is brighter to the left, the back and the head."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 200, (14, 11, 9)) + 20 * np.indices((14, 11, 9)).sum(axis=0)
    mask = np.zeros(values.shape, np.uint8)
    mask[8:12, 2:5, 1:6] = 1  # in front, to the left, below the middle
    mask[8, 2, 1:6] = 0
    mask[11, 4, 5] = 0
    values[mask > 0] += 900
    return values.astype(np.uint16), mask


def hung(volume: np.ndarray, plane: str) -> np.ndarray:
    """Return the slices (slices, rows, columns) of a volume (left, back, head) as they hang."""
    laid = volume.transpose(_AXES[plane])
    return laid if plane == "axial" else laid[:, ::-1]


def place_of(plane: str, turn: Turn, shape: tuple[int, ...], number: int) -> tuple[list[float], list[float]]:
    """Return ImagePositionPatient and ImageOrientationPatient of a stored slice; ``shape`` is that of a hung one."""
    ways = [way * float(np.abs(way) @ SIDES_MM) for way in WAYS[plane]]
    down, across, through = ways
    first = number * through + (0 if plane == "axial" else _HEAD * SIDES_MM[2] * (shape[0] - 1))
    if turn.rows_reversed:
        first, down = first + down * (shape[0] - 1), -down
    if turn.columns_reversed:
        first, across = first + across * (shape[1] - 1), -across
    if turn.exchanged:
        down, across = across, down
    return first.tolist(), [*(across / np.linalg.norm(across)), *(down / np.linalg.norm(down))]


def stored_slices(values: np.ndarray, plane: str, turn: Turn, **more: Any) -> list[FileDataset]:
    """Make the slices of a volume (left, back, head) as files that state where they lie."""
    uid, made = generate_uid(), []
    for number, slice_ in enumerate(hung(values, plane)):
        position, orientation = place_of(plane, turn, slice_.shape, number)
        spacing = [float(np.abs(way) @ SIDES_MM) for way in WAYS[plane]]
        stated = {
            "PatientID": "P1",
            "PatientName": "P1^",
            "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
            "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.2",
            "SeriesInstanceUID": uid,
            "SeriesDescription": "FLAIR",
            "ImagePositionPatient": position,
            "ImageOrientationPatient": orientation,
            "PixelSpacing": [*turn.shape(spacing[0], spacing[1])],
            "SliceThickness": spacing[2],
            "ImageType": ["ORIGINAL", "PRIMARY", "M"],
            "InstanceNumber": number + 1,
            "ReferringPhysicianName": "",
            **dict.fromkeys(_NO_STUDY_FACTS, ""),
            **more,
        }
        made.append(tiny(np.ascontiguousarray(turn.inverse.of(slice_)), **stated))
    return made


def write_series(folder: Path, plane: str, turn: Turn, *, outlined: bool = True, seed: int = 0, **more: Any) -> Path:
    """Write the patient's series into a folder, with a DICOM segmentation of what is outlined."""
    values, mask = patient(seed)
    files = stored_slices(values, plane, turn, **more)
    for number, one in enumerate(files):
        save(one, folder / f"{number:02d}.dcm")
    if outlined:
        drawn = np.stack([turn.inverse.of(slice_) for slice_ in hung(mask, plane)])
        save(segmentation(files, drawn.astype(bool)), folder / "outline.dcm")
    return folder


def in_patient(stored: np.ndarray, plane: str, turn: Turn) -> np.ndarray:
    """Return what lies on the stored slices (slices, rows, columns) as (left, back, head).

    The slices are in the order in which a series has them: along the normal of the stored rows and columns.
    """
    slices = turn.of(np.asarray(stored))
    down, across, through = WAYS[plane]
    if turn.rows_reversed ^ turn.columns_reversed ^ turn.exchanged ^ bool(np.cross(across, down) @ through < 0):
        slices = slices[::-1]
    laid = slices if plane == "axial" else slices[:, ::-1]
    return laid.transpose(np.argsort(_AXES[plane]))
