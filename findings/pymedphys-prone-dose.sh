#!/usr/bin/env bash
# pymedphys 0.41.0, pydicom 3.0.2, numpy 2.4.6, scipy 1.17.1.
# Behaviour: the coordinates of a dose grid are those of its mirror image for patients who lie prone or come feet first:
# the axes are reversed where their signs are to be changed. A voxel on the left of a prone patient, at x 98 mm, is said
# to be on the right, at -92 mm. Grids whose middle is at 0 come out right. depth_dose and dicom_dose_interpolate read
# doses by these coordinates; the docstring lists all of the eight positions as supported.
# Expected: ImagePositionPatient plus the index times the spacing along ImageOrientationPatient (PS3.3 C.7.6.2.1.1).
# Seen: "the hot voxel (x, y, z) supine: 102, 54, 16 for 102, 54, 16; prone: -92, -48, 16 for 98, 46, 16; feet first:
# -92, 54, -10 for 98, 54, 4"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pymedphys==0.41.0 pydicom==3.0.2 numpy==2.4.6 \
    scipy==1.17.1 matplotlib==3.11.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian
from pymedphys.dicom import zyx_and_dose_from_dataset

stored = np.zeros((3, 4, 6), "<u2")  # planes, rows, columns
stored[2, 2, 1] = 1000


def hot_voxel(position, orientation):
    """Return where pymedphys says that it is, and where it is."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made.Modality, made.PatientPosition, made.DoseGridScaling = "RTDOSE", position, "0.001"
    made.ImagePositionPatient, made.ImageOrientationPatient, made.PixelSpacing = [100, 50, 10], orientation, [2, 2]
    made.GridFrameOffsetVector, made.NumberOfFrames, made.Rows, made.Columns = [0, 3, 6], 3, 4, 6
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelData = stored.tobytes()
    made["PixelData"].VR = "OW"
    (z, y, x), dose = zyx_and_dose_from_dataset(made)
    plane, row, column = np.argwhere(dose == 1.0)[0]
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    true = np.array([100, 50, 10]) + 2 * along_row + 4 * along_column + 6 * np.cross(along_row, along_column)
    return "{:g}, {:g}, {:g} for {:g}, {:g}, {:g}".format(x[column], y[row], z[plane], *true)


line = (
    f"the hot voxel (x, y, z) supine: {hot_voxel('HFS', [1, 0, 0, 0, 1, 0])}; "
    f"prone: {hot_voxel('HFP', [-1, 0, 0, 0, -1, 0])}; feet first: {hot_voxel('FFS', [-1, 0, 0, 0, 1, 0])}"
)
print(line)
expected = (
    "the hot voxel (x, y, z) supine: 102, 54, 16 for 102, 54, 16; prone: -92, -48, 16 for 98, 46, 16; feet first: -92, "
    "54, -10 for 98, 54, 4"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
