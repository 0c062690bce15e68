"""Small series and what outlines them, made here: never a copy of anybody's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from tiny_dicom import item, save, tiny

ROWS, COLUMNS = 8, 10
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)
STUDY, FRAME = generate_uid(), generate_uid()
_EMPTY = ("StudyID", "AccessionNumber", "StudyDate", "StudyTime", "PatientBirthDate", "PatientSex")


def normal_of(orientation: Sequence[float]) -> np.ndarray:
    """Return the unit vector along which slices are sorted."""
    return np.cross(orientation[:3], orientation[3:])


def slices(
    count: int = 5,
    *,
    orientation: Sequence[float] = AXIAL,
    step_mm: float = 5.0,
    lean: Sequence[float] = (0.0, 0.0, 0.0),
    **attributes: Any,
) -> list[FileDataset]:
    """Make the slices of a series, first to last along the normal; the values of slice ``n`` are ``100 n + column``."""
    uid = generate_uid()
    made = []
    for number in range(count):
        pixels = np.tile(np.arange(COLUMNS, dtype=np.uint16) + 100 * number, (ROWS, 1))
        stated = {
            "SeriesInstanceUID": uid,
            "StudyInstanceUID": STUDY,
            "FrameOfReferenceUID": FRAME,
            "ImagePositionPatient": list(
                number * (step_mm * normal_of(orientation) + np.array(lean)) + [-3.0, -4.0, 7.0]
            ),
            "ImageOrientationPatient": list(orientation),
            "PixelSpacing": [1.0, 2.0],
            "SliceThickness": step_mm,
            "InstanceNumber": 1 + (number * 3) % max(count, 1),
            "ImageType": ["ORIGINAL", "PRIMARY", "M"],
            "ReferringPhysicianName": "",
            "PatientName": "P^1",
            **dict.fromkeys(_EMPTY, ""),
            **attributes,
        }
        made.append(tiny(pixels, **stated))
    return made


def written(made: Iterable[FileDataset], folder: Path) -> list[Path]:
    """Write files under names that say nothing, in another order than space."""
    files = [save(one, folder / one.SOPInstanceUID[-12:]) for one in made]
    return sorted(files, key=lambda path: path.name[::-1])


def enhanced(
    order: Sequence[int] = (2, 0, 3, 1), *, slopes: Sequence[float] | None = None, **attributes: Any
) -> FileDataset:
    """Make an enhanced object with these slices as frames; the values of slice ``n`` are ``100 n + column``."""
    pixels = np.stack([np.tile(np.arange(COLUMNS, dtype=np.uint16) + 100 * n, (ROWS, 1)) for n in order])
    stated = {"SOPClassUID": EnhancedMRImageStorage, "StudyInstanceUID": STUDY, "FrameOfReferenceUID": FRAME}
    made = tiny(pixels, **{**stated, **attributes})
    made.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    made.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=list(OBLIQUE))],
            PixelMeasuresSequence=[item(PixelSpacing=[1.0, 2.0], SliceThickness=5.0, SpacingBetweenSlices=5.0)],
        )
    ]
    made.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=list(5.0 * n * normal_of(OBLIQUE)))]) for n in order
    ]
    for group, slope in zip(made.PerFrameFunctionalGroupsSequence, slopes or (), strict=bool(slopes)):
        group.PixelValueTransformationSequence = [item(RescaleSlope=slope, RescaleIntercept=0.0)]
    return made


def segmentation(
    sources: Sequence[Dataset],
    pixels: np.ndarray,
    kind: str = "BINARY",
    labels: Sequence[str] = ("tumour",),
    **more: Any,
) -> FileDataset:
    """Make a DICOM segmentation of (slices, rows, columns (, segments)), as highdicom writes it."""
    described = [
        SegmentDescription(number, label, codes.SCT.Organ, codes.SCT.Liver, "MANUAL")
        for number, label in enumerate(labels, 1)
    ]
    made = Segmentation(
        sources, pixels, kind, described, generate_uid(), 1, generate_uid(), 1, "Maker", "Model", "1", "1", **more
    )
    made.save_as(data := BytesIO())
    return dcmread(BytesIO(data.getvalue()))  # as it is, it shares its attributes with the images


def contour(points: Sequence[Sequence[float]], source: Dataset | None = None, kind: str = "CLOSED_PLANAR") -> Dataset:
    """Make a contour of points in mm, drawn on an image."""
    made = item(ContourGeometricType=kind, NumberOfContourPoints=len(points))
    made.ContourData = [f"{value:.4f}" for point in points for value in point]
    if source is not None:
        made.ContourImageSequence = [
            item(ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=source.SOPInstanceUID)
        ]
    return made


def structure_set(source: Dataset, rois: dict[str, Sequence[Dataset]], **attributes: Any) -> FileDataset:
    """Make a structure set of the series of an image: contours by the name of their region."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=False, is_little_endian=True)
    made.SOPClassUID, made.SOPInstanceUID = RTStructureSetStorage, meta.MediaStorageSOPInstanceUID
    made.Modality, made.PatientID = "RTSTRUCT", source.PatientID
    made.StudyInstanceUID, made.SeriesInstanceUID = source.StudyInstanceUID, generate_uid()
    series = item(SeriesInstanceUID=source.SeriesInstanceUID)
    study = item(RTReferencedSeriesSequence=[series])
    made.ReferencedFrameOfReferenceSequence = [
        item(FrameOfReferenceUID=source.FrameOfReferenceUID, RTReferencedStudySequence=[study])
    ]
    made.StructureSetROISequence = [
        item(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=source.FrameOfReferenceUID)
        for number, name in enumerate(rois, 1)
    ]
    made.ROIContourSequence = [
        item(ReferencedROINumber=number, **({"ContourSequence": list(drawn)} if drawn else {}))
        for number, drawn in enumerate(rois.values(), 1)
    ]
    for word, value in attributes.items():
        setattr(made, word, value)
    return made
