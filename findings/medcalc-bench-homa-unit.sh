#!/usr/bin/env bash
# medcalc-bench 1.7.0.
# Behaviour: insulin in pmol/L is multiplied by 6 to give micro-units per millilitre, which are six times fewer.
# HOMA-IR, whose limit is near 2.5, is 36 times too high for a healthy person whose laboratory reports SI units.
# Expected: the same index for 10 uIU/mL and 60 pmol/L (1 uIU/mL = 6 pmol/L).
# Seen: "HOMA-IR at a glucose of 90 mg/dL: 2.222 for 10 uIU/mL, 80.0 for 60 pmol/L"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps medcalc-bench==1.7.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from medcalc.homa_ir import compute_homa_ir_explanation


def index(insulin, unit):
    """Return HOMA-IR at a glucose of 90 mg/dL."""
    return compute_homa_ir_explanation({"insulin": [insulin, unit], "glucose": [90.0, "mg/dL"]})["Answer"]


units, moles = index(10.0, "\N{MICRO SIGN}IU/mL"), index(60.0, "pmol/L")
print(f"HOMA-IR at a glucose of 90 mg/dL: {units} for 10 uIU/mL, {moles} for 60 pmol/L")
sys.exit(not (units == 2.222 and moles == 80))
PYTHON
