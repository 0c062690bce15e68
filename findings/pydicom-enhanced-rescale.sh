#!/usr/bin/env bash
# pydicom 3.0.2, SimpleITK 2.5.7, highdicom 0.28.2, numpy 2.4.6.
# Behaviour: apply_modality_lut and apply_voi_lut look for the rescale and the window in the dataset itself. In an Enhanced CT
# or MR both lie in functional groups: they return the stored values, unscaled and unwindowed, and say nothing. CT is then
# 1024 too high, and what a network learnt from Enhanced objects does not hold for the same scan as single slices.
# SimpleITK and highdicom apply the functional group.
# Expected: Hounsfield units, or an error for an object with a PixelValueTransformationSequence.
# Seen: "Enhanced CT, stored 1000, intercept -1024: pydicom 1000, windowed 1000; SimpleITK -24, highdicom -24; as a single
# slice pydicom -24"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 SimpleITK==2.5.7 highdicom==0.28.2 \
    numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import copy
import sys

import highdicom
import numpy as np
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid


def group(**attributes):
    made = Dataset()
    for word, value in attributes.items():
        setattr(made, word, value)
    return made


made = Dataset()
made.file_meta = FileMetaDataset()
made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = EnhancedCTImageStorage
made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
made.PatientID = made.PatientName = "P"
made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "CT", "M", 1, 1
made.ImageType, made.NumberOfFrames = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], 2
made.Rows = made.Columns = 8
made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
rescale = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU"}
window = {"WindowCenter": "40", "WindowWidth": "400"}
made.SharedFunctionalGroupsSequence = [
    group(
        PixelMeasuresSequence=[group(PixelSpacing=[1, 1], SliceThickness=1)],
        PlaneOrientationSequence=[group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelValueTransformationSequence=[group(**rescale)],
        FrameVOILUTSequence=[group(**window)],
    )
]
made.PerFrameFunctionalGroupsSequence = [
    group(
        FrameContentSequence=[group(StackID="1", InStackPositionNumber=number + 1)],
        PlanePositionSequence=[group(ImagePositionPatient=[0, 0, number])],
    )
    for number in range(2)
]
made.PixelData = np.full((2, 8, 8), 1000, "<u2").tobytes()
made["PixelData"].VR = "OW"
made.save_as("enhanced.dcm", enforce_file_format=True)

single = copy.deepcopy(made)
single.SOPClassUID = single.file_meta.MediaStorageSOPClassUID = CTImageStorage
del single.SharedFunctionalGroupsSequence, single.PerFrameFunctionalGroupsSequence, single.NumberOfFrames
for word, value in {**rescale, **window}.items():
    setattr(single, word, value)
single.PixelData = np.full((8, 8), 1000, "<u2").tobytes()

read = dcmread("enhanced.dcm")
values = apply_modality_lut(read.pixel_array, read)
windowed = apply_voi_lut(values, read)
other = sitk.GetArrayFromImage(sitk.ReadImage("enhanced.dcm"))
third = highdicom.imread("enhanced.dcm").get_frame(1)
slice_values = apply_modality_lut(single.pixel_array, single)
seen = [float(some.flat[0]) for some in (values, windowed, other, third, slice_values)]
print(
    f"Enhanced CT, stored 1000, intercept -1024: pydicom {seen[0]:g}, windowed {seen[1]:g}; SimpleITK {seen[2]:g}, "
    f"highdicom {seen[3]:g}; as a single slice pydicom {seen[4]:g}"
)
sys.exit(seen != [1000, 1000, -24, -24, -24])
PYTHON
