#!/usr/bin/env bash
# autods-pet 0.1.0, pydicom 3.0.2, SimpleITK 2.5.2, numpy 2.2.6.
# Behaviour: a time in DICOM may be given without its seconds, and without its minutes (PS3.5, TM). parse_dicom_time
# fills zeros in on the left: an injection at 0930 was at nine and a half minutes past midnight. Where the PET is not
# corrected for decay, an SUV of 4.0 an hour after it is 138. Nothing warns.
# Expected: half past nine, as pydicom reads it, and 4.0.
# Seen: "SUV of 4.0, injected at 093000 4.0, 0930 137.8, 093000.00 4.0; 0930 is read as 00:09:30, by pydicom as
# 09:30:00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps autods-pet==0.1.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.2 pandas==2.3.3 pydicom==3.0.2 \
    numpy==2.2.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import SimpleITK as sitk
from autods_pet.imaging.normalization import parse_dicom_time
from autods_pet.pipeline import normalize_pet
from pydicom.valuerep import TM

DOSE_BQ, WEIGHT_KG, HALF_LIFE_S = 3.7e8, 70.0, 6586.2


def suv(injected):
    """Return the SUV of a tissue with four times the body's average, injected at 9:30 and scanned at 10:30."""
    activity = 4 * DOSE_BQ * 0.5 ** (3600 / HALF_LIFE_S) / (1000 * WEIGHT_KG)  # Bq/ml, not corrected
    sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 4, 4), activity)), "pet.nii.gz")
    told = {"StudyDate": "20260105", "AcquisitionTime": "103000", "DecayCorrection": "NONE", "PatientWeight": WEIGHT_KG}
    told |= {"RadiopharmaceuticalStartTime": injected, "RadionuclideTotalDose": DOSE_BQ}
    Path("pet.json").write_text(json.dumps(told | {"RadionuclideHalfLife": HALF_LIFE_S}))
    patient = SimpleNamespace(
        patient_id="P", pet_path=Path("pet.nii.gz"), pet_suv_path=Path("suv.nii.gz"), metadata_path=Path("pet.json")
    )
    normalize_pet({"pipeline": {"force": True}}, patient)
    return f"{sitk.GetArrayFromImage(sitk.ReadImage('suv.nii.gz'))[2, 2, 2]:.1f}"


times = ["093000", "0930", "093000.00"]
line = "SUV of 4.0, injected at " + ", ".join(f"{time} {suv(time)}" for time in times)
line += f"; 0930 is read as {parse_dicom_time('0930')}, by pydicom as {TM('0930').isoformat()}"
print(line)
expected = (
    "SUV of 4.0, injected at 093000 4.0, 0930 137.8, 093000.00 4.0; 0930 is read as 00:09:30, by pydicom as 09:30:00"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
