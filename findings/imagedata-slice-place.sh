#!/usr/bin/env bash
# imagedata 3.10.0, pydicom 3.0.2, nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: a series written to MetaImage (formats=["itk"]) has the distance of its slices in their direction as well
# as in the spacing: a lesion in the third of slices 3 mm apart lies at 18 mm. Written to NIfTI, slices that are thinner
# than their distance are as far apart as they are thick: with slices of 1 mm every 3 mm the lesion lies at 2 mm.
# `spacing` of the series says 1 mm, too, and its transformationMatrix 3 mm. Values are rescaled in the type that the
# first slice gives: where its slope is 1, a PET of 60000 and 500.5 Bq/ml is -5536 and 500.
# Expected: 6 mm in each file, from ImagePositionPatient (PS3.3 C.7.6.2.1.1), and the values that are stated.
# Seen: "a lesion at 9, 4, 6 mm, slices of 3 mm: 9, 4, 6 in NIfTI, 9, 4, 18 in MetaImage; slices of 1 mm: 9, 4, 2 in
# NIfTI, spacing 1, matrix 3; a PET of 1000, 60000 and 500.5: 1000, -5536, 500, from its last slice to the first: 500.5,
# 60000, 1000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check imagedata==3.10.0 pydicom==3.0.2 nibabel==5.4.2 \
    SimpleITK==2.5.7 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import os
import sys

import numpy as np
import SimpleITK as sitk
from imagedata import Series
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

STUDY, SERIES, FRAME = generate_uid(), generate_uid(), generate_uid()
LESION = 219  # of the voxel in the third slice, third row and fourth column


def write(folder, number, thickness_mm=3, slope=1, value=None):
    """Write an axial slice of 6 rows and 8 columns, of one value or with a value of its own for each pixel."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = STUDY, SERIES, FRAME
    made.Modality, made.PatientID, made.PatientName, made.StudyID, made.SeriesNumber = "CT", "P", "P", "1", 1
    made.StudyDate = made.SeriesDate = made.AcquisitionDate = made.ContentDate = "20260101"
    made.StudyTime = made.SeriesTime = made.AcquisitionTime = made.ContentTime = "120000"
    made.InstanceNumber, made.SliceLocation, made.SliceThickness = number + 1, 3 * number, thickness_mm
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * number]
    made.PixelSpacing, made.Rows, made.Columns, made.SamplesPerPixel = [2, 3], 6, 8, 1
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.RescaleSlope, made.RescaleIntercept = str(slope), "0"
    pixels = 100 * number + np.arange(48) if value is None else np.full(48, value / slope)
    made.PixelData = pixels.astype(np.int16).tobytes()
    os.makedirs(folder, exist_ok=True)
    made.save_as(f"{folder}/{number}.dcm", enforce_file_format=True)


def lesion(series, kind, name):
    """Return where the lesion lies in a file of this kind, as SimpleITK reads it, in mm."""
    series.write(name.split(".")[0], formats=[kind])
    image = sitk.ReadImage(name)
    index = np.argwhere(sitk.GetArrayFromImage(image) == LESION)[0][::-1]
    return ", ".join(f"{value:g}" for value in image.TransformIndexToPhysicalPoint(index.tolist()))


def values(folder, slopes_and_values):
    """Return the values of a PET as they are read."""
    for number, (slope, value) in enumerate(slopes_and_values):
        write(folder, number, slope=slope, value=value)
    return ", ".join(f"{value:g}" for value in np.asarray(Series(folder))[:, 0, 0])


for number in range(3):
    write("thick", number)
    write("thin", number, thickness_mm=1)
thick, thin = Series("thick"), Series("thin")
pet = [(1, 1000), (2, 60000), (0.5, 500.5)]
line = (
    f"a lesion at 9, 4, 6 mm, slices of 3 mm: {lesion(thick, 'nifti', 'a.nii.gz')} in NIfTI, "
    f"{lesion(thick, 'itk', 'b.mha')} in MetaImage; slices of 1 mm: {lesion(thin, 'nifti', 'c.nii.gz')} in NIfTI, "
    f"spacing {thin.spacing[0]:g}, matrix {thin.transformationMatrix[0, 0]:g}; a PET of 1000, 60000 and 500.5: "
    f"{values('pet', pet)}, from its last slice to the first: {values('again', pet[::-1])}"
)
print(line)
expected = (
    "a lesion at 9, 4, 6 mm, slices of 3 mm: 9, 4, 6 in NIfTI, 9, 4, 18 in MetaImage; slices of 1 mm: 9, 4, 2 in "
    "NIfTI, spacing 1, matrix 3; a PET of 1000, 60000 and 500.5: 1000, -5536, 500, from its last slice to the first: "
    "500.5, 60000, 1000"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
