#!/usr/bin/env bash
# medio 0.7.1, pydicom 3.0.2, dicom-numpy 0.6.5, numpy 2.4.6.
# Behaviour: read_img with the backend pydicom brings the pixels of a multi-frame image to 16 bits with a sign before it
# rescales them: a PET of 40000 Bq/ml is -25536. Slopes that each frame has of its own are left out: the stored numbers
# are returned. The same pixels in one file a slice are right. Nothing warns.
# Expected: stored value times slope plus intercept (PS3.3 C.11.1.1.2 and C.7.6.16.2.9), 40000 and 60000.
# Seen: "slope 1: multi-frame -25536, a single slice 40000; slopes 2 and 3 of two frames: 20000, 20000 for 40000, 60000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check medio==0.7.1 pydicom==3.0.2 dicom-numpy==0.6.5 \
    numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import medio
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def item(**attributes):
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def read(kind, pixels, **attributes):
    """Return the first pixel of each plane as medio reads it."""
    made = item(SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{kind}", SOPInstanceUID=generate_uid(), **attributes)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = (
        made.SOPClassUID,
        made.SOPInstanceUID,
    )
    made.StudyInstanceUID, made.SeriesInstanceUID, made.PatientID, made.Modality = "1.2.3", "1.2.3.4", "P", "PT"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 2, 2, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = np.repeat(np.array(pixels, "<u2"), 4).tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("image.dcm", enforce_file_format=True)
    values, _ = medio.read_img("image.dcm", backend="pydicom")
    return ", ".join(f"{value:g}" for value in values[0, 0])


def frames(pixels, slopes):
    """Return them of an Enhanced PET, with a slope for all frames or one for each."""
    of_all = item(
        PixelMeasuresSequence=[item(PixelSpacing=[2, 2], SliceThickness=3)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
    )
    of_each = [
        item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 3 * index])]) for index in range(len(pixels))
    ]
    for place, slope in zip(of_each if len(slopes) > 1 else [of_all], slopes):
        place.PixelValueTransformationSequence = [item(RescaleSlope=slope, RescaleIntercept="0", RescaleType="US")]
    return read(
        "130",
        pixels,
        NumberOfFrames=len(pixels),
        SharedFunctionalGroupsSequence=[of_all],
        PerFrameFunctionalGroupsSequence=of_each,
    )


alone = read(
    "128",
    [40000],
    ImagePositionPatient=[0, 0, 0],
    ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
    PixelSpacing=[2, 2],
    SpacingBetweenSlices=3,
    RescaleSlope="1",
    RescaleIntercept="0",
)
together = frames([40000, 40000], ["1"]).split(", ")[0]
line = (
    f"slope 1: multi-frame {together}, a single slice {alone}; "
    f"slopes 2 and 3 of two frames: {frames([20000, 20000], ['2', '3'])} for 40000, 60000"
)
print(line)
expected = (
    "slope 1: multi-frame -25536, a single slice 40000; slopes 2 and 3 of two frames: 20000, 20000 for 40000, 60000"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
