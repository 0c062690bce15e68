#!/usr/bin/env bash
# fhirpathpy 2.2.4.
# Behaviour: 1 g equals 1000 mg, but 1000 umol/L of creatinine do not equal 1 mmol/L, nor 100 cm a metre, nor 70000 g 70
# kg: units beyond a short table are compared as if they were of different kinds, and the answer is False, not unknown.
# Lists of the same elements in another order are not equivalent. 2.5 is rounded to 2.
# Expected: FHIRPath 2.0.0, section 6.1: quantities are converted to the unit with the finest granularity, and the
# answer is empty where that cannot be done; "~" of collections does not depend on order. Section 5.7, round: 0.5 or
# higher rounds to 1.
# Seen: "1 'g' = 1000 'mg' True, 1 'mmol/L' = 1000 'umol/L' False, 1 'm' = 100 'cm' False, 70 'kg' = 70000 'g' False, 1
# 'L' = 1000 'mL' False; ('a' | 'b') ~ ('b' | 'a') False; 2.5.round(0) 2"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check fhirpathpy==2.2.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from fhirpathpy import evaluate


def answer(path):
    (value,) = evaluate({}, path)
    return f"{path} {value}"


equal = ["1 'g' = 1000 'mg'", "1 'mmol/L' = 1000 'umol/L'", "1 'm' = 100 'cm'", "70 'kg' = 70000 'g'", "1 'L' = 1000 'mL'"]
seen = [answer(path) for path in equal]
order, rounded = answer("('a' | 'b') ~ ('b' | 'a')"), answer("2.5.round(0)")
print(f"{', '.join(seen)}; {order}; {rounded}")
wrong = all(line.endswith("False") for line in seen[1:])
sys.exit(not (seen[0].endswith("True") and wrong and order.endswith("False") and rounded.endswith(" 2")))
PYTHON
