#!/usr/bin/env bash
# pygrowthstandards 0.1.3, scipy 1.15.3, pandas 2.3.3, pyarrow 26.0.1, matplotlib 3.11.2, numpy 2.0.2.
# Behaviour: a Patient has a sex, and the calculator never asks for it: of the rows for the age it takes the first,
# which is a girl's for the length of nine months and a boy's for the weight. The functional interface has them right.
# Expected: the standard of the patient's own sex (WHO Child Growth Standards, 2006, tables for boys and for girls).
# Seen: "68 cm and 7.2 kg at nine months: a boy's z-scores -0.87 and -1.92, by the function -1.75 and -1.92; a girl's
# -0.87 and -1.92, by the function -0.87 and -1.09"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pygrowthstandards==0.1.3 scipy==1.15.3 pandas==2.3.3 \
    pyarrow==26.0.1 matplotlib==3.11.2 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import datetime
import sys
from pathlib import Path

import pygrowthstandards
from pygrowthstandards import functional
from pygrowthstandards.oop.calculator import Calculator
from pygrowthstandards.oop.measurement import MeasurementGroup
from pygrowthstandards.oop.patient import Patient

Calculator.path = str(Path(pygrowthstandards.__file__).parent / "data")  # the tables that the package brings
born, measured = datetime.date(2023, 1, 1), datetime.date(2023, 10, 1)
days = (measured - born).days


def scores(sex):
    """Return the z-scores of a length of 68 cm and a weight of 7.2 kg by the patient and by the function."""
    patient = Patient(sex=sex, birthday_date=born)
    patient.add_measurements(MeasurementGroup(table_name="child_growth", date=measured, stature=68.0, weight=7.2))
    patient.calculate_all()
    group = patient.z_scores[0]
    right = [functional.zscore(kind, value, sex, age_days=days) for kind, value in (("stature", 68.0), ("weight", 7.2))]
    return [round(float(score), 2) for score in (group.stature, group.weight, *right)]


boy, girl = scores("M"), scores("F")
print(
    f"68 cm and 7.2 kg at nine months: a boy's z-scores {boy[0]} and {boy[1]}, by the function {boy[2]} and {boy[3]}; a "
    f"girl's {girl[0]} and {girl[1]}, by the function {girl[2]} and {girl[3]}"
)
sys.exit(not (boy[:2] == girl[:2] and boy[0] - boy[2] > 0.5 and girl[3] - girl[1] > 0.5))
PYTHON
