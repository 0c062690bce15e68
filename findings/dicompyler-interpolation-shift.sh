#!/usr/bin/env bash
# dicompyler-core 0.5.6, pydicom 2.4.4, numpy 1.26.4, scikit-image 0.25.2.
# Behaviour: get_dvh(interpolation_resolution=...), by which the documentation makes the histograms of small structures
# finer, samples the dose from outer edge to outer edge of the voxels, and gives the samples places from first centre to
# last centre: the dose lies half a voxel of the grid aside from the structure, whatever resolution is asked for. With 3
# mm voxels and a gradient of 5 Gy/mm, as radiosurgery has it at the edge of its target, the mean dose of a structure is
# 7.5 Gy off.
# Expected: the mean dose that the structure has without interpolation; here the dose is a linear ramp, which linear
# interpolation leaves as it is.
# Seen: "none 172.5 Gy, 1.73 cm3; 1.5 165.0 Gy, 1.79 cm3; 0.75 165.0 Gy, 1.76 cm3; 0.375 165.0 Gy, 1.74 cm3"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicompyler-core==0.5.6 pydicom==2.4.4 numpy==1.26.4 \
    scikit-image==0.25.2
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


ramp = dose(np.broadcast_to(5 * VOXEL * np.arange(30.0), (12, 30, 30)))
structure = target(4, 4, 4)  # the columns 10 to 13, whose centres lie at 30 to 39 mm: 34.5 mm x 5 Gy/mm = 172.5 Gy
seen = []
for resolution in (None, 1.5, 0.75, 0.375):
    found = get_dvh(structure, ramp, 1, interpolation_resolution=resolution)
    seen.append(f"{resolution or 'none'} {found.mean:.1f} Gy, {found.volume:.2f} cm3")
line = "; ".join(seen)
print(line)
expected = "none 172.5 Gy, 1.73 cm3; 1.5 165.0 Gy, 1.79 cm3; 0.75 165.0 Gy, 1.76 cm3; 0.375 165.0 Gy, 1.74 cm3"
sys.exit(0 if line == expected else "this has changed")
PYTHON
