#!/usr/bin/env bash
# drugdose 0.1.2.
# Behaviour: calculate_drip compares an ordered dose with the documented maximum of the drug as numbers, whatever their
# units are: dopamine at 50 times its maximum, ordered in mg/kg/min, does not exceed it, nor does propofol at twice its
# maximum in mg/kg/hr, which passes without any warning. 7 mcg/min of norepinephrine, a thirtieth of the maximum for a
# patient of 70 kg, exceeds it. The pump rates are right.
# Expected: one answer for one dose, in whichever of the documented units it is ordered: the same orders in the unit of
# the maximum are told apart.
# Seen: "dopamine 1 mg/kg/min, 50 times the maximum: exceeds it False, the same in mcg/kg/min True; propofol 6 mg/kg/hr,
# 2 times the maximum: exceeds it False, the same in mcg/kg/min True; norepinephrine 7 mcg/min, 0.033 times the maximum:
# exceeds it True, the same in mcg/kg/min False"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check drugdose==0.1.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from drugdose.drip import calculate_drip
from drugdose.models import Patient

KG = 70
orders = {  # drug: (dose and unit as ordered, the same in mcg/kg/min, the documented maximum in mcg/kg/min)
    "dopamine": (1, "mg/kg/min", 1000, 20),
    "propofol": (6, "mg/kg/hr", 6 * 1000 / 60, 50),
    "norepinephrine": (7, "mcg/min", 7 / KG, 3),
}
patient, seen = Patient(KG, age_years=50), {}
for drug, (dose, unit, same, maximum) in orders.items():
    ordered, converted = calculate_drip(drug, patient, dose, unit), calculate_drip(drug, patient, same, "mcg/kg/min")
    rates = abs(ordered.rate_ml_per_hr - converted.rate_ml_per_hr) < 1e-6 * converted.rate_ml_per_hr
    seen[drug] = (ordered.rate_exceeded, converted.rate_exceeded, same > maximum, rates)
print(
    "; ".join(
        f"{drug} {orders[drug][0]} {orders[drug][1]}, {orders[drug][2] / orders[drug][3]:.2g} times the maximum: "
        f"exceeds it {told}, the same in mcg/kg/min {converted}"
        for drug, (told, converted, _, _) in seen.items()
    )
)
sys.exit(not all(told != right and converted == right and rates for told, converted, right, rates in seen.values()))
PYTHON
