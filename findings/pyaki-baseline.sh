#!/usr/bin/env bash
# pyaki 1.0.13, pandas 2.3.3, numpy 2.4.6. Needs Python 3.12.
# Behaviour: the calculated baseline of creatinine, for patients whose own is not known, takes 60 kg from the ideal
# weight instead of 60 inches from the height: Devine's formula lacks its brackets. The ideal weight of a man of 180 cm
# is 153 kg, and what is normal for him two thirds too high: creatinine of twice his baseline is no injury of the
# kidney.
# Expected: 50 kg (women 45.5 kg) and 2.3 kg for each inch above 60 (Devine 1974): 75 kg.
# Seen: "baseline of a man of 180 cm, 80 kg, 60 years 1.97 mg/dl, by Devine's weight 1.22, of a woman of 165 cm, 65 kg
# 1.44 and 0.81; his creatinine of 2.5 is stage 0, against 1.22 stage 2"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3.12 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyaki==1.0.13 pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

import pandas as pd
from pyaki.probes import CreatinineBaselineMethod, RelativeCreatinineProbe
from pyaki.utils import Dataset, DatasetType

TIMES = pd.date_range("2026-01-01", periods=2, freq="h")


def stage(patient, creatinine, method):
    """Return the highest stage of a patient whose creatinine is this, in mg/dl."""
    tables = [
        Dataset(DatasetType.CREATININE, pd.DataFrame({"creat": [creatinine] * 2}, index=TIMES)),
        Dataset(DatasetType.DEMOGRAPHICS, pd.Series(patient)),
    ]
    return int(dict(RelativeCreatinineProbe(method=method).probe(tables))[DatasetType.CREATININE]["rel_creatinine_stage"].max())


def seen(patient):
    probe = RelativeCreatinineProbe(method=CreatinineBaselineMethod.CALCULATED)
    return float(probe.creatinine_baseline(pd.DataFrame({"creat": [1.0] * 2}, index=TIMES), pd.Series(patient)).iloc[0])


def right(patient):
    """Return the baseline by the package's own formula, with Devine's weight."""
    man = patient["gender"] == "M"
    ideal = (50 if man else 45.5) + 2.3 * (patient["height"] / 2.54 - 60)
    adjusted = ideal + 0.4 * (patient["weight"] - ideal)
    return (140 - patient["age"]) * adjusted * (1 if man else 0.85) / (70 * 72)


him = {"gender": "M", "height": 180.0, "weight": 80.0, "age": 60.0}
her = {"gender": "F", "height": 165.0, "weight": 65.0, "age": 60.0}
found = stage(him, 2.5, CreatinineBaselineMethod.CALCULATED)
against = stage(him | {"baseline_constant": right(him)}, 2.5, CreatinineBaselineMethod.CONSTANT)
print(
    f"baseline of a man of 180 cm, 80 kg, 60 years {seen(him):.2f} mg/dl, by Devine's weight {right(him):.2f}, of a woman of "
    f"165 cm, 65 kg {seen(her):.2f} and {right(her):.2f}; his creatinine of 2.5 is stage {found}, against {right(him):.2f} "
    f"stage {against}"
)
sys.exit(not (seen(him) > 1.6 * right(him) and found == 0 and against == 2))
PYTHON
