#!/usr/bin/env bash
# pymirc 0.30.2, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: DicomVolume sorts the gates of a PET that follow the breath or the heart (SeriesType GATED, as GE writes
# it) by their trigger time as text: of gates at 0, 800, 1600, 2400 and 3200 ms the second comes last. Where all gates
# begin below 1000 ms, or all above, they are in order. Slices at 0, 3, 9 and 12 mm are 3 mm apart in voxsize and 4 mm
# in the affine of the same object, and 6 mm are nowhere.
# Expected: gates by their time, TriggerTime being a number of milliseconds (PS3.3 C.8.9.4, VR DS); uneven slices
# refused or warned of.
# Seen: "gates of 10, 20, 30, 40 and 50 at 0, 800, 1600, 2400 and 3200 ms: 10, 30, 40, 50, 20; at 0, 200, 400, 600 and
# 800 ms: 10, 20, 30, 40, 50; slices at 0, 3, 9 and 12 mm: voxsize 3 mm, affine 4 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pymirc==0.30.2 pydicom==3.0.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid
from pymirc.fileio import DicomVolume


def pet(z_mm, value, kind, trigger_ms=None):
    """Return an axial slice of one value."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = PositronEmissionTomographyImageStorage, generate_uid()
    made.Modality, made.SeriesType = "PT", [kind, "IMAGE"]
    made.AcquisitionDate, made.AcquisitionTime = "20260101", "120000"
    if trigger_ms is not None:
        made.TriggerTime = str(trigger_ms)
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, z_mm]
    made.PixelSpacing, made.SliceThickness, made.RescaleSlope, made.RescaleIntercept = [2, 2], 3, 1, 0
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 4, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelData = np.full((4, 4), value, np.int16).tobytes()
    return made


def gates(*times_ms):
    """Return the values of the gates in the order in which they are read."""
    slices = [pet(z, 10 * (gate + 1), "GATED", time) for gate, time in enumerate(times_ms) for z in (0, 3, 6)]
    return ", ".join(f"{gate.mean():.0f}" for gate in DicomVolume(dicomlist=slices, verbose=False).get_data())


uneven = DicomVolume(dicomlist=[pet(z, 1, "STATIC") for z in (0, 3, 9, 12)], verbose=False)
uneven.get_data()
line = (
    f"gates of 10, 20, 30, 40 and 50 at 0, 800, 1600, 2400 and 3200 ms: {gates(0, 800, 1600, 2400, 3200)}; at 0, 200, "
    f"400, 600 and 800 ms: {gates(0, 200, 400, 600, 800)}; slices at 0, 3, 9 and 12 mm: voxsize "
    f"{uneven.voxsize[2]:g} mm, affine {uneven.affine[2, 2]:g} mm"
)
print(line)
expected = (
    "gates of 10, 20, 30, 40 and 50 at 0, 800, 1600, 2400 and 3200 ms: 10, 30, 40, 50, 20; at 0, 200, 400, 600 and 800 "
    "ms: 10, 20, 30, 40, 50; slices at 0, 3, 9 and 12 mm: voxsize 3 mm, affine 4 mm"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
