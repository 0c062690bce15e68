#!/usr/bin/env bash
# pyvista 0.49.1, vtk 9.7.2 (vtkDICOMImageReader), pydicom 3.0.2, numpy 2.4.6.
# Behaviour: pyvista.DICOMReader keeps a slice in its 16 bits where its slope is a whole number: a PET of 40000 Bq/ml
# is -25536. A CT whose sign fills the 12 bits stored alone is 3996 for -100 HU. Slices at 0, 3 and 9 mm are all 6 mm
# apart. And nothing has its place: the series begins at 0, 0, 0, with its last slice first and its rows upside down, a
# coronal one as an axial one. Nothing warns.
# Expected: 40000 and -100 (PS3.3 C.11.1.1.2, PS3.5 8.1.1), and places by ImagePositionPatient and its orientation.
# Seen: "1000 x 40: -25536; -100 of 12 bits: 3996; slices at 0, 3, 9 mm: 6 mm apart; (12, 22, 39) is at (2, 6, 0), and
# (12, 29, 28) of a coronal series, too"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyvista==0.49.1 vtk==9.7.2 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import tempfile

import numpy as np
import pyvista
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def read(pixels, offsets, orientation=(1, 0, 0, 0, 1, 0), slope="1", bits=16):
    """Return the series as pyvista reads it; pixels are (slices, rows, columns)."""
    folder, study, series = tempfile.mkdtemp(dir="."), generate_uid(), generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    for number, (plane, offset) in enumerate(zip(pixels, offsets)):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.PatientID, made.Modality = study, series, "P", "CT"
        made.SeriesNumber, made.InstanceNumber, made.SliceThickness = 1, number + 1, 3
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = *plane.shape, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, bits, bits - 1, 1
        made.PixelSpacing, made.ImageOrientationPatient = [2, 1], list(orientation)
        made.ImagePositionPatient = [float(value) for value in np.array([10, 20, 30]) + normal * offset]
        made.RescaleSlope, made.RescaleIntercept = slope, "0"
        made.PixelData = (plane.astype("<i2").view("<u2") & (2**bits - 1)).tobytes()
        made["PixelData"].VR = "OW"
        made.save_as(f"{folder}/{number}.dcm", enforce_file_format=True)
    return pyvista.DICOMReader(folder).read()


def place(point):
    return "({:g}, {:g}, {:g})".format(*point)


def hot(orientation):
    """Return where row 1, column 2 of the last slice lies, and where pyvista has it."""
    pixels = np.zeros((4, 5, 6))
    pixels[3, 1, 2] = 1000
    image = read(pixels, (0, 3, 6, 9), orientation)
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    true = np.array([10, 20, 30]) + 2 * along_row + 2 * along_column + 9 * np.cross(along_row, along_column)
    return place(true), place(image.points[image.active_scalars.argmax()])


flat = np.ones((3, 4, 4))
(axial, axial_at), (coronal, coronal_at) = hot((1, 0, 0, 0, 1, 0)), hot((1, 0, 0, 0, 0, -1))
line = (
    f"1000 x 40: {read(1000 * flat, (0, 3, 6), slope='40').active_scalars[0]:g}; "
    f"-100 of 12 bits: {read(-100 * flat, (0, 3, 6), bits=12).active_scalars[0]:g}; "
    f"slices at 0, 3, 9 mm: {read(flat, (0, 3, 9)).spacing[2]:g} mm apart; "
    f"{axial} is at {axial_at}, and {coronal} of a coronal series{', too' if coronal_at == axial_at else coronal_at}"
)
print(line)
expected = (
    "1000 x 40: -25536; -100 of 12 bits: 3996; slices at 0, 3, 9 mm: 6 mm apart; (12, 22, 39) is at (2, 6, 0), and "
    "(12, 29, 28) of a coronal series, too"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
