#!/usr/bin/env bash
# dosepy 0.12.2, pydicom 3.0.2, SimpleITK 2.5.7, numpy 2.4.6, scikit-image 0.26.0, plotly 7.1.0.
# Behaviour: StructureSet.get_coordinates takes the number of a structure less one for the place of its contours: where
# structures are numbered in another order than their contours stand, as 0 and 1 or 2 and 1, the liver has the contours
# of the heart, and the dose in it is the heart's. And pydicom_to_simpleitk takes the spacing of rows for that of
# columns: a dose at x 30, y 20 mm lies at 60, 10 mm where pixels are not square. load_dose of the same file is right.
# Expected: contours by ReferencedROINumber (PS3.3 C.8.8.6), and PixelSpacing as the spacing of rows and then of columns
# (PS3.3 10.7.1.3).
# Seen: "first corner of the liver at 0 and the heart at 50 mm: numbers 1, 2: 0, 50; 0, 1: 50, 0; 2, 1: 50, 0; a dose at
# 30, 20 mm: 60, 10 by pydicom_to_simpleitk, 30, 20 by load_dose"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 SimpleITK==2.5.7 numpy==2.4.6 \
    scikit-image==0.26.0 plotly==7.1.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps dosepy==0.12.2
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from Dosepy.rtdose import StructureSet, load_dose, pydicom_to_simpleitk
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, generate_uid


def item(**attributes):
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def corners(liver, heart):
    """Return the first corners of both, in mm, for structures with these numbers."""
    names = [item(ROINumber=liver, ROIName="LIVER"), item(ROINumber=heart, ROIName="HEART")]
    contours = []
    for number, low in ((liver, 0), (heart, 50)):
        points = [low, low, 0, low + 9, low, 0, low + 9, low + 9, 0]
        plane = item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=3, ContourData=points)
        contours.append(item(ReferencedROINumber=number, ContourSequence=[plane]))
    structures = StructureSet(item(StructureSetROISequence=names, ROIContourSequence=contours))
    return ", ".join(f"{structures.get_coordinates(name)[0][0][0]:g}" for name in ("LIVER", "HEART"))


def hot(image):
    index = np.argwhere(sitk.GetArrayFromImage(image) > 1)[0][::-1]
    return "{:g}, {:g}".format(*image.TransformIndexToPhysicalPoint(index.tolist())[:2])


dose = item(SOPClassUID=RTDoseStorage, SOPInstanceUID=generate_uid(), Modality="RTDOSE", DoseUnits="GY")
dose.file_meta = FileMetaDataset()
dose.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
dose.file_meta.MediaStorageSOPClassUID, dose.file_meta.MediaStorageSOPInstanceUID = RTDoseStorage, dose.SOPInstanceUID
dose.Rows, dose.Columns, dose.NumberOfFrames, dose.DoseGridScaling = 10, 20, 3, "0.001"
dose.SamplesPerPixel, dose.PhotometricInterpretation, dose.PixelRepresentation = 1, "MONOCHROME2", 0
dose.BitsAllocated, dose.BitsStored, dose.HighBit = 16, 16, 15
dose.PixelSpacing, dose.ImagePositionPatient, dose.ImageOrientationPatient = [4, 2], [0, 0, 0], [1, 0, 0, 0, 1, 0]
dose.GridFrameOffsetVector, dose.FrameIncrementPointer, dose.SliceThickness = [0, 3, 6], 0x3004000C, 3
stored = np.zeros((3, 10, 20), "<u2")
stored[:, 5, 15] = 7000
dose.PixelData = stored.tobytes()
dose["PixelData"].VR = "OW"
dose.save_as("dose.dcm", enforce_file_format=True)

line = (
    f"first corner of the liver at 0 and the heart at 50 mm: numbers 1, 2: {corners(1, 2)}; 0, 1: {corners(0, 1)}; "
    f"2, 1: {corners(2, 1)}; a dose at 30, 20 mm: {hot(pydicom_to_simpleitk(dcmread('dose.dcm')))} by "
    f"pydicom_to_simpleitk, {hot(load_dose('dose.dcm'))} by load_dose"
)
print(line)
expected = (
    "first corner of the liver at 0 and the heart at 50 mm: numbers 1, 2: 0, 50; 0, 1: 50, 0; 2, 1: 50, 0; a dose at "
    "30, 20 mm: 60, 10 by pydicom_to_simpleitk, 30, 20 by load_dose"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
