#!/usr/bin/env bash
# dicompyler-core 0.5.6, pydicom 2.4.4, numpy 1.26.4.
# Behaviour: the dose to 98 % or 95 % of a structure is the first bin whose volume is nearest to 98 or 95, and all bins
# below the lowest dose hold 100 %. Where one voxel is more than 4 % of the structure (10 % for D95), 100 is nearest,
# and the first bin of 100 % is a dose of 0: a metastasis of 18 voxels of 3 mm with at least 45 Gy everywhere has a D98
# of 0 Gy, beside a D100 of 45 Gy. The dose to 2 cm3 of a structure that is smaller than that is 0 Gy, too. Nothing is
# said of it, and the documentation has no least size.
# Expected: D100 <= D98 <= D95 <= D50, as of any cumulative histogram.
# Seen: "8 voxels: D100 45.00, D98 0.00, D95 0.00, D50 47.01, D2cc 0.00; 18 voxels: D100 45.00, D98 0.00, D95 45.01, D50
# 48.01, D2cc 0.00; 200 voxels: D100 45.00, D98 46.01, D95 48.01, D50 62.01, D2cc 67.01"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicompyler-core==0.5.6 pydicom==2.4.4 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from dicompylercore.dvhcalc import get_dvh
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, RTStructureSetStorage

VOXEL = 3.0  # mm


def instance(kind, uid):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.is_little_endian, made.is_implicit_VR = True, False
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = kind
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = uid
    return made


def dose(gray):
    made = instance(RTDoseStorage, "1.2.3.1")
    made.Modality, made.DoseUnits, made.DoseType, made.DoseSummationType = "RTDOSE", "GY", "PHYSICAL", "PLAN"
    made.NumberOfFrames, made.Rows, made.Columns = gray.shape
    made.PixelSpacing, made.ImageOrientationPatient, made.ImagePositionPatient = [VOXEL] * 2, [1, 0, 0, 0, 1, 0], [0, 0, 0]
    made.GridFrameOffsetVector = [VOXEL * frame for frame in range(len(gray))]
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.DoseGridScaling = 16, 16, 15, 0.01
    made.PixelData = np.rint(gray * 100).astype("<u2").tobytes()
    return made


def target(rows, columns, planes):
    """A block of whole voxels from (10, 10, 2) on."""
    made = instance(RTStructureSetStorage, "1.2.3.2")
    made.Modality = "RTSTRUCT"
    roi, observed, outlined = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = 1, "target"
    observed.ObservationNumber, observed.ReferencedROINumber, observed.RTROIInterpretedType = 1, 1, "PTV"
    outlined.ReferencedROINumber, outlined.ROIDisplayColor, outlined.ContourSequence = 1, [255, 0, 0], []
    low, right, down = 9.5 * VOXEL, (9.5 + columns) * VOXEL, (9.5 + rows) * VOXEL
    for plane in range(2, 2 + planes):
        contour = Dataset()
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
        corners = ((low, low), (right, low), (right, down), (low, down))
        contour.ContourData = [value for x, y in corners for value in (x, y, plane * VOXEL)]
        outlined.ContourSequence.append(contour)
    made.StructureSetROISequence, made.RTROIObservationsSequence = [roi], [observed]
    made.ROIContourSequence = [outlined]
    return made


# 45 Gy in the first voxel of every target, and more further on
frame, row, column = np.meshgrid(np.arange(12.0), np.arange(30.0), np.arange(30.0), indexing="ij")
falling = dose(np.clip(45 + 4 * (frame - 2) + (row - 10) + (column - 10), 0, None))
seen = []
for shape in ((2, 2, 2), (3, 3, 2), (5, 5, 8)):
    found = get_dvh(target(*shape), falling, 1)
    values = ", ".join(f"{name} {getattr(found, name).value:.2f}" for name in ("D100", "D98", "D95", "D50", "D2cc"))
    seen.append(f"{np.prod(shape)} voxels: {values}")
line = "; ".join(seen)
print(line)
expected = (
    "8 voxels: D100 45.00, D98 0.00, D95 0.00, D50 47.01, D2cc 0.00; "
    "18 voxels: D100 45.00, D98 0.00, D95 45.01, D50 48.01, D2cc 0.00; "
    "200 voxels: D100 45.00, D98 46.01, D95 48.01, D50 62.01, D2cc 67.01"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
