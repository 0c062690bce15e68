#!/usr/bin/env bash
# autods-pet 0.1.0, SimpleITK 2.5.2, numpy 2.2.6.
# Behaviour: a PET whose DecayCorrection is START, as nearly all have it, holds activities at the start of the scan.
# Its SUV is taken by the dose at the injection, not by what is left of it at the scan: an hour after an injection of
# fluorine-18 all SUVs are 0.68 of what they are, 2.7 for 4.0, and after two hours 0.47. Those of ADMIN, where the
# activities are at the injection, are right by the same dose.
# Expected: an SUV of 4.0 of a tissue that holds four times the average of the body, whichever time is meant.
# Seen: "SUV of a tissue with 4 times the body's average, 60 minutes after injection: START 2.74, ADMIN 4.00, NONE
# 4.00; after 120 minutes: START 1.87, ADMIN 4.00, NONE 4.00"
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
from autods_pet.pipeline import normalize_pet

DOSE_BQ, WEIGHT_KG, HALF_LIFE_S = 3.7e8, 70.0, 6586.2


def suv(correction, minutes):
    """Return the SUV of a tissue with four times the body's average, at this time after the injection."""
    left = 1.0 if correction == "ADMIN" else 0.5 ** (60 * minutes / HALF_LIFE_S)
    activity = 4 * DOSE_BQ * left / (1000 * WEIGHT_KG)  # Bq/ml, at the time that the correction names
    sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 4, 4), activity)), "pet.nii.gz")
    told = {"StudyDate": "20260105", "AcquisitionTime": f"{9 + minutes // 60:02d}0000", "DecayCorrection": correction}
    told |= {"RadiopharmaceuticalStartTime": "090000", "RadionuclideTotalDose": DOSE_BQ, "PatientWeight": WEIGHT_KG}
    Path("pet.json").write_text(json.dumps(told | {"RadionuclideHalfLife": HALF_LIFE_S}))
    patient = SimpleNamespace(
        patient_id="P", pet_path=Path("pet.nii.gz"), pet_suv_path=Path("suv.nii.gz"), metadata_path=Path("pet.json")
    )
    normalize_pet({"pipeline": {"force": True}}, patient)
    return f"{correction} {sitk.GetArrayFromImage(sitk.ReadImage('suv.nii.gz'))[2, 2, 2]:.2f}"


kinds = ["START", "ADMIN", "NONE"]
line = (
    "SUV of a tissue with 4 times the body's average, 60 minutes after injection: "
    f"{', '.join(suv(kind, 60) for kind in kinds)}; after 120 minutes: {', '.join(suv(kind, 120) for kind in kinds)}"
)
print(line)
expected = (
    "SUV of a tissue with 4 times the body's average, 60 minutes after injection: START 2.74, ADMIN 4.00, NONE 4.00; "
    "after 120 minutes: START 1.87, ADMIN 4.00, NONE 4.00"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
