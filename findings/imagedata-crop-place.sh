#!/usr/bin/env bash
# imagedata 3.10.0, pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6.
# Behaviour: a piece cut out of a Series by rows and columns keeps the place of the whole image: its DICOM and NIfTI
# files have the whole image's corner. A series turned from last slice to first is written to DICOM with all slices at
# 0, 0, 0 and a SliceThickness of -3; one turned in its rows has a PixelSpacing of -2 and the same corner. A piece cut
# out by slices has its place, as its SliceLocation and ImagePositionPatient are cut, too.
# Expected: the corner of the piece (PS3.3 C.7.6.2: ImagePositionPatient is the centre of the first voxel transmitted,
# and pixel spacings are above 0), as for slices, or no geometry.
# Seen: "a lesion at 9, 4, 6 mm: 9, 4, 6 in the whole image, 9, 4, 6 from the second slice on, 3, 2, 6 in a piece from
# row 1 and column 2 on, 3, 2, 6 in its NIfTI file; slices turned round: z 0, 0, 0, thickness -3; rows turned round:
# spacing -2"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check imagedata==3.10.0 pydicom==3.0.2 nibabel==5.4.2 \
    numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import glob
import os
import sys

import nibabel
import numpy as np
from imagedata import Series
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

STUDY, SERIES, FRAME = generate_uid(), generate_uid(), generate_uid()
LESION = 219  # of the voxel in the third slice, third row and fourth column


def write(number):
    """Write an axial slice of 6 rows and 8 columns, of which each pixel has a value of its own."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = STUDY, SERIES, FRAME
    made.Modality, made.PatientID, made.PatientName, made.StudyID, made.SeriesNumber = "CT", "P", "P", "1", 1
    made.StudyDate = made.SeriesDate = made.AcquisitionDate = made.ContentDate = "20260101"
    made.StudyTime = made.SeriesTime = made.AcquisitionTime = made.ContentTime = "120000"
    made.InstanceNumber, made.SliceLocation, made.SliceThickness = number + 1, 3 * number, 3
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * number]
    made.PixelSpacing, made.Rows, made.Columns, made.SamplesPerPixel = [2, 3], 6, 8, 1
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.PixelData = (100 * number + np.arange(48, dtype=np.int16)).tobytes()
    made.save_as(f"ct/{number}.dcm", enforce_file_format=True)


def written(series, folder):
    """Return the data sets of a series written to DICOM."""
    series.write(folder, formats=["dicom"])
    return [dcmread(name) for name in sorted(glob.glob(f"{folder}/*"))]


def lesion(sets):
    """Return where the lesion lies in DICOM files, in mm."""
    for made in sets:
        for row, column in np.argwhere(made.pixel_array == LESION):
            step = [column * made.PixelSpacing[1], row * made.PixelSpacing[0], 0]
            return ", ".join(f"{value:g}" for value in np.add(made.ImagePositionPatient, step))


os.mkdir("ct")
for number in range(3):
    write(number)
whole = Series("ct")
piece = whole[:, 1:, 2:]
piece.write("piece", formats=["nifti"])
image = nibabel.load("piece.nii.gz")
index = np.argwhere(image.get_fdata() == LESION)[0]
in_nifti = nibabel.affines.apply_affine(image.affine, index) * [-1, -1, 1]
turned, mirrored = written(whole[::-1], "turned"), written(whole[:, ::-1], "mirrored")
line = (
    f"a lesion at 9, 4, 6 mm: {lesion(written(whole, 'whole'))} in the whole image, "
    f"{lesion(written(whole[1:], 'later'))} from the second slice on, {lesion(written(piece, 'cut'))} in a piece "
    f"from row 1 and column 2 on, {', '.join(f'{value:g}' for value in in_nifti)} in its NIfTI file; slices turned "
    f"round: z {', '.join(f'{made.ImagePositionPatient[2]:g}' for made in turned)}, thickness "
    f"{turned[0].SliceThickness:g}; rows turned round: spacing {mirrored[0].PixelSpacing[0]:g}"
)
print(line)
expected = (
    "a lesion at 9, 4, 6 mm: 9, 4, 6 in the whole image, 9, 4, 6 from the second slice on, 3, 2, 6 in a piece from row "
    "1 and column 2 on, 3, 2, 6 in its NIfTI file; slices turned round: z 0, 0, 0, thickness -3; rows turned round: "
    "spacing -2"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
