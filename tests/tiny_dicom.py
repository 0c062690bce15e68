"""Small DICOM files, made here: never a copy of anybody's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileDataset
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

RAMP = np.arange(12, dtype=np.uint16).reshape(3, 4)


def tiny(pixels: np.ndarray = RAMP, *, syntax: str = ExplicitVRLittleEndian, **attributes: Any) -> FileDataset:
    """Make an anonymous MR image of these pixels ((frames,) rows, columns (, 3)), with attributes set otherwise.

    An attribute of None is left out.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    made = FileDataset(
        "",
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax == ImplicitVRLittleEndian,
        is_little_endian=syntax != ExplicitVRBigEndian,
    )
    made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.Modality, made.Manufacturer, made.ManufacturerModelName = "MR", "Maker", "Model"
    made.PatientID = made.PatientName = "P1"
    made.PatientIdentityRemoved = "YES"
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    shape = pixels.shape[:-1] if colour else pixels.shape
    made.SamplesPerPixel = 3 if colour else 1
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        made.PlanarConfiguration = 0
    if len(shape) == 3:
        made.NumberOfFrames = shape[0]
    made.Rows, made.Columns = shape[-2:]
    made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for word, value in attributes.items():
        if word in made:
            delattr(made, word)
        if value is not None:
            with disable_value_validation():  # what is wrong with a file is often a value that may not be there
                setattr(made, word, value)
    made["PixelData"].VR = "OW" if made.BitsAllocated > 8 else "OB"
    return made


def save(made: FileDataset, path: Path) -> Path:
    """Write a file as it is, conforming or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with disable_value_validation():
        made.save_as(path, enforce_file_format=False)
    return path


def item(**attributes: Any) -> Dataset:
    """Make one item of a sequence."""
    made = Dataset()
    for word, value in attributes.items():
        setattr(made, word, value)
    return made


def with_a_table(folder: Path, table: str) -> Path:
    """Write ``0.dcm`` to ``3.dcm``, of patients P0 to P3, and a ``labels.csv`` beside them."""
    folder.mkdir()
    for number in range(4):
        name = f"P{number}"
        image = tiny(np.full((8, 8), number, np.uint16), PatientID=name, PatientName=name)
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    return folder
