#!/usr/bin/env bash
# pysuv 0.1.0, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: only times of day are read, no dates, also where RadiopharmaceuticalStartDateTime is there: a patient who
# was given zirconium-89 three days before the scan, as antibodies need it, is corrected for one hour of decay. The SUV
# is half of what it is, without a warning. With copper-64 a day before it is a quarter.
# Expected: the decay from the injection to the start of the series (PS3.3 C.8.9.1 and C.8.9.2): SUVs of 2.0.
# Seen: "SUV of 2.0: fluorine-18 after 1 h 2.00, copper-64 after 25 h 0.54, zirconium-89 after 73 h 1.06"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pysuv==0.1.0 pydicom==3.0.2 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid
from pysuv import compute_suv

SCAN, DOSE, WEIGHT = datetime(2024, 1, 5, 11), 7.0e7, 70.0  # Bq; kg


def taken_up(half_life, waited):
    """Return the SUV of a slice of 2.0 from a tracer of this half-life (h) injected so many hours before the scan."""
    activity = 2.0 * DOSE * 2 ** (-waited / half_life) / (1000 * WEIGHT)  # Bq/ml
    injected = SCAN - timedelta(hours=waited)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = PositronEmissionTomographyImageStorage, generate_uid()
    made.Modality, made.Manufacturer, made.PatientWeight = "PT", "SIEMENS", WEIGHT
    made.SeriesDate = made.AcquisitionDate = f"{SCAN:%Y%m%d}"
    made.SeriesTime = made.AcquisitionTime = f"{SCAN:%H%M%S}"
    made.Units, made.DecayCorrection, made.CorrectedImage = "BQML", "START", ["ATTN", "DECY"]
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = DOSE, 3600 * half_life
    tracer.RadiopharmaceuticalStartTime = f"{injected:%H%M%S}"
    tracer.RadiopharmaceuticalStartDateTime = f"{injected:%Y%m%d%H%M%S}"
    made.RadiopharmaceuticalInformationSequence = [tracer]
    made.Rows = made.Columns = 2
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.RescaleSlope, made.RescaleIntercept = float(f"{activity / 1000:.9g}"), 0
    made.PixelData = np.full((2, 2), 1000, "<u2").tobytes()
    return compute_suv(made)[0, 0]


line = (
    f"SUV of 2.0: fluorine-18 after 1 h {taken_up(1.8295, 1):.2f}, copper-64 after 25 h {taken_up(12.70, 25):.2f}, "
    f"zirconium-89 after 73 h {taken_up(78.41, 73):.2f}"
)
print(line)
expected = "SUV of 2.0: fluorine-18 after 1 h 2.00, copper-64 after 25 h 0.54, zirconium-89 after 73 h 1.06"
sys.exit(0 if line == expected else "this has changed")
PYTHON
