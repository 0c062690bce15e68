#!/usr/bin/env bash
# medcalc-bench 1.7.0.
# Behaviour: the points for dopamine are given to all who get none, since 0 is at most 5, before any other drug is asked
# for; with both creatinine and urine output known, the kidney gets no points at all, and less than 200 mL of urine a
# day is never reached, being less than 500, too.
# Expected: 0 for a healthy person, 4 for much norepinephrine, 4 for a failed kidney (Vincent et al., Intensive Care Med
# 1996), as the calculator's own text says.
# Seen: "SOFA of a healthy person 2; with norepinephrine at 0.5 ug/kg/min 2; with creatinine 5.5 mg/dL 6, and with 100
# mL of urine a day besides 2, with the urine alone 5"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps medcalc-bench==1.7.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from medcalc.sofa import compute_sofa_explanation


def score(**more):
    """Return the score of a person who is healthy but for this."""
    person = {
        "partial_pressure_oxygen": (95, "mm Hg"),
        "fio2": (0.21, ""),
        "gcs": 15,
        "bilirubin": (0.6, "mg/dL"),
        "platelet_count": (250000, "\N{MICRO SIGN}L"),
        "sys_bp": (120, "mm Hg"),
        "dia_bp": (80, "mm Hg"),
    }
    return compute_sofa_explanation(person | more)["Answer"]


kidney, urine = {"creatinine": (5.5, "mg/dL")}, {"urine_output": (100, "mL/day")}
healthy = score(creatinine=(0.9, "mg/dL"))
pressed = score(creatinine=(0.9, "mg/dL"), norepinephrine=(0.5, "ug/kg/min"))
failed, both, dry = score(**kidney), score(**kidney, **urine), score(**urine)
print(
    f"SOFA of a healthy person {healthy}; with norepinephrine at 0.5 ug/kg/min {pressed}; with creatinine 5.5 mg/dL "
    f"{failed}, and with 100 mL of urine a day besides {both}, with the urine alone {dry}"
)
sys.exit(not ((healthy, pressed, failed, both, dry) == (2, 2, 6, 2, 5)))
PYTHON
