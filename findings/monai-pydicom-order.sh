#!/usr/bin/env bash
# MONAI 1.6.1, pydicom 3.0.2, torch 2.13.0, numpy 2.4.6.
# Behaviour: PydicomReader stacks the slices of a series in the order of InstanceNumber. Where MR slices are numbered as
# they were acquired, every other one first, the volume is shuffled, and its affine, made of the first and the last
# slice, says that it is even: a finding at 3 mm lies at 15 mm. Nothing warns of it.
# Expected: the order of positions, or an error. The place of a slice is its ImagePositionPatient (DICOM PS3.3,
# C.7.6.2.1.1); InstanceNumber identifies an image and may be empty (table C.7-9).
# Seen: "slices at 0, 3, 6, 9, 12, 15, 18, 21, 24, 27 mm lie at 0, 3, 6, 9, 12, 15, 18, 21, 24, 27; numbered as
# acquired, every other one first, at 0, 15, 3, 18, 6, 21, 9, 24, 12, 27"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - 2> warnings.txt <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from monai.transforms import LoadImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

HEIGHTS = [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]  # mm


def places(name, order):
    """Return where the slices lie in the volume, in mm, for slices of these heights numbered in this order."""
    Path(name).mkdir()
    for number, height in enumerate(order, 1):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MRImageStorage
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
        made.PatientID = made.PatientName = "P"
        made.Modality, made.SeriesNumber, made.InstanceNumber = "MR", 1, number
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 4, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.PixelSpacing, made.SliceThickness = [1, 1], 3
        made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, height]
        made.PixelData = np.full((4, 4), height, "<u2").tobytes()
        made["PixelData"].VR = "OW"
        made.save_as(f"{name}/{height:02}.dcm", enforce_file_format=True)
    volume = LoadImage(image_only=True, reader="PydicomReader")(name)  # (columns, rows, slices)
    heights, affine = volume[0, 0].numpy(), volume.affine.numpy()
    seen = {int(height): round(float(affine[2, 3] + affine[2, 2] * index)) for index, height in enumerate(heights)}
    return [seen[height] for height in HEIGHTS]


upwards, interleaved = places("upwards", HEIGHTS), places("interleaved", HEIGHTS[::2] + HEIGHTS[1::2])
print(
    f"slices at {', '.join(map(str, HEIGHTS))} mm lie at {', '.join(map(str, upwards))}; "
    f"numbered as acquired, every other one first, at {', '.join(map(str, interleaved))}"
)
sys.exit(not (upwards == HEIGHTS and interleaved == [0, 15, 3, 18, 6, 21, 9, 24, 12, 27]))
PYTHON
