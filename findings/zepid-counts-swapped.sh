#!/usr/bin/env bash
# zepid 0.9.1, setuptools 80.9.0.
# Behaviour: the reference of risk_ratio, and of five more functions on four counts, says that b is the unexposed with
# the outcome and c the exposed without it. The formulas, and the classes that take a data frame, have them the other
# way round: b is the exposed without. Counts handed over as the reference says have another risk ratio, with a narrow
# interval, and no error; of the six odds_ratio alone does not change.
# Expected: the ratio of the risks of exposed and unexposed for counts as the reference names them.
# Seen: "30 of 100 exposed and 10 of 100 unexposed are ill: risk ratio 3.00 from the patients, 1.71 (1.33 to 2.20) from
# the counts as they are named; risk difference 0.31 for 0.20"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check zepid==0.9.1 setuptools==80.9.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from zepid import RiskRatio
from zepid.calc import risk_difference, risk_ratio

# 30 of 100 exposed patients have the outcome, and 10 of 100 unexposed
ill_exposed, ill_unexposed, well_exposed, well_unexposed = 30, 10, 70, 90
named = {"a": ill_exposed, "b": ill_unexposed, "c": well_exposed, "d": well_unexposed}
assert all(
    "b : integer, float\n        Count of unexposed individuals with outcome\n" in of.__doc__
    for of in (risk_ratio, risk_difference)
)
patients = pd.DataFrame(
    [(1, 1)] * ill_exposed + [(0, 1)] * ill_unexposed + [(1, 0)] * well_exposed + [(0, 0)] * well_unexposed,
    columns=["exposed", "ill"],
)
frame = RiskRatio()
frame.fit(patients, exposure="exposed", outcome="ill")
right = float(frame.results.loc["1", "RiskRatio"])
ratio, difference = risk_ratio(**named), risk_difference(**named).point_estimate
print(
    f"30 of 100 exposed and 10 of 100 unexposed are ill: risk ratio {right:.2f} from the patients, "
    f"{ratio.point_estimate:.2f} ({ratio.lower_bound:.2f} to {ratio.upper_bound:.2f}) from the counts as they are "
    f"named; risk difference {difference:.2f} for 0.20"
)
sys.exit(not (abs(right - 3) < 1e-9 and ratio.upper_bound < 2.9 and difference > 0.3))
PYTHON
