#!/usr/bin/env bash
# medcalc-bench 1.7.0.
# Behaviour: a patient on dialysis is given a creatinine of 4.0 mg/dL only if the measured one lies between 1.0 and 4.0:
# the rule is asked after those for low and high values. Who is dialysed well, to below 1.0, gets 1.0.
# Expected: 4.0 for all who had dialysis twice in a week, whatever was measured (Policy 9 of the OPTN, on MELD).
# Seen: "MELD-Na on dialysis, for a measured creatinine of 0.8, 1.2, 3.0 mg/dL: 15, 28, 28"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps medcalc-bench==1.7.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from medcalc.meldna import compute_meldna_explanation


def score(creatinine):
    """Return MELD-Na of a patient who had dialysis twice this week, by the creatinine that was measured (mg/dL)."""
    return compute_meldna_explanation(
        {
            "creatinine": (creatinine, "mg/dL"),
            "dialysis_twice": True,
            "bilirubin": (2.8, "mg/dL"),
            "inr": 1.5,
            "sodium": [139.0, "mEq/L"],
        }
    )["Answer"]


seen = [score(creatinine) for creatinine in (0.8, 1.2, 3.0)]
print(f"MELD-Na on dialysis, for a measured creatinine of 0.8, 1.2, 3.0 mg/dL: {', '.join(map(str, seen))}")
sys.exit(not (seen[0] < 20 and seen[1] == seen[2] == 28))
PYTHON
