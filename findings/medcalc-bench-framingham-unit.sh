#!/usr/bin/env bash
# medcalc-bench 1.7.0.
# Behaviour: cholesterol is brought to mmol/L and put into the formula for mg/dL, which the text of the calculator
# names; the risk is then rounded to tenths, that is to 0%, 10% and so on.
# Expected: the risk by the coefficients for mg/dL (National Cholesterol Education Program, ATP III, 2002).
# Seen: "risk of a man of 60 who smokes, blood pressure 150, treated, cholesterol 240, HDL 35: 10.0%, by the formula
# 32%"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps medcalc-bench==1.7.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from math import exp, log

from medcalc.framingham_risk_score import framingham_risk_score_explanation

seen = float(
    framingham_risk_score_explanation(
        {
            "age": (60, "years"),
            "sex": "Male",
            "smoker": True,
            "sys_bp": (150, "mm Hg"),
            "bp_medicine": True,
            "total_cholestrol": (240.0, "mg/dL"),
            "hdl_cholestrol": (35.0, "mg/dL"),
        }
    )["Answer"]
)
age, cholesterol = log(60), log(240)
points = 52.00961 * age + 20.014077 * cholesterol - 0.905964 * log(35) + 1.305784 * log(150) + 0.241549 + 12.096316
points += -4.605038 * age * cholesterol - 2.84367 * age - 2.93323 * age**2 - 172.300168
right = 1 - 0.9402 ** exp(points)
print(
    f"risk of a man of 60 who smokes, blood pressure 150, treated, cholesterol 240, HDL 35: {seen}%, by the formula "
    f"{right:.0%}"
)
sys.exit(not (seen <= 10 and right > 0.2))
PYTHON
