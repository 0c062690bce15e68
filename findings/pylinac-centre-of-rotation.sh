#!/usr/bin/env bash
# pylinac 3.49.0, pydicom 2.4.5, numpy 2.4.6.
# Behaviour: x_cor_deviation_mm of CenterOfRotation is said to be the deviation of the centre of rotation of a gamma
# camera from the centre of its matrix. It is the largest distance of a point from a sine that is fitted with a mean of
# its own: a camera whose axis lies 10 mm beside the middle has a deviation of 0.0 mm, as one without a fault. The mean
# itself, which tells it, is in neither results() nor results_data().
# Expected: 10 mm, as the documentation of the property says; SPECT is blurred by rings from half a pixel on.
# Seen: "axis at the centre of the matrix: deviation 0.0 mm; 10 mm beside it: deviation 0.0 mm, mean of the fit 10.0 mm
# further"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pylinac==3.49.0 pydicom==2.4.5 numpy==2.4.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, NuclearMedicineImageStorage, generate_uid
from pylinac.nuclear import CenterOfRotation

PIXEL_MM = 5


def measured(beside_mm):
    """Return the deviation and the mean of the fit for a camera whose axis lies beside the centre of the matrix."""
    angles = np.radians(np.arange(0, 360, 10))
    across = 31.5 + (beside_mm + 100 * np.sin(angles)) / PIXEL_MM  # a point source 100 mm from the axis
    row, column = np.mgrid[:64, :64]
    frames = [10000 * np.exp(-((row - 31.5) ** 2 + (column - x) ** 2) / 8) for x in across]
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = NuclearMedicineImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.Modality, made.PatientID, made.ImageType = "NM", "P", ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]
    made.Rows, made.Columns, made.NumberOfFrames, made.PixelSpacing = 64, 64, len(frames), [PIXEL_MM, PIXEL_MM]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = np.array(frames).round().astype(np.uint16).tobytes()
    rotation = Dataset()
    rotation.RotationDirection, rotation.StartAngle, rotation.AngularStep = "CC", 0, 10
    made.RotationInformationSequence = [rotation]
    made.is_little_endian, made.is_implicit_VR = True, False
    made.save_as("rotation.dcm", write_like_original=False)
    camera = CenterOfRotation("rotation.dcm")
    camera.analyze()
    return camera.results_data().x_deviation_mm, camera.cor_x["a"]


(right, middle), (wrong, moved) = measured(0), measured(10)
line = (
    f"axis at the centre of the matrix: deviation {right:.1f} mm; 10 mm beside it: deviation {wrong:.1f} mm, mean of "
    f"the fit {moved - middle:.1f} mm further"
)
print(line)
expected = (
    "axis at the centre of the matrix: deviation 0.0 mm; 10 mm beside it: deviation 0.0 mm, mean of the fit 10.0 mm "
    "further"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
