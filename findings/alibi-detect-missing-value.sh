#!/usr/bin/env bash
# alibi-detect 0.13.0, scipy 1.17.1, numpy 1.26.4.
# Behaviour: KSDrift and CVMDrift find no drift in a value that one patient does not have: the p-value is NaN, which is
# not below the threshold, and is_drift is 0, as where nothing has changed. In a monitoring that reads is_drift all is
# well. Nothing is said.
# Expected: An error, or the test over those who have the value: a shift by three deviations is found without that
# patient.
# Seen: "a shift by three deviations, KSDrift: drift 1, p 0.00; with one value of 300 missing 0, p nan; CVMDrift: drift
# 1, p 0.00; with one value of 300 missing 0, p nan"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check alibi-detect==0.13.0 scipy==1.17.1 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
import sys

import numpy as np

logging.disable(logging.CRITICAL)
from alibi_detect.cd import CVMDrift, KSDrift

random = np.random.default_rng(0)
before, after = random.normal(0, 1, (300, 1)), random.normal(3, 1, (300, 1))
missing = after.copy()
missing[0] = np.nan
said, found = [], []
for method in (KSDrift, CVMDrift):
    detector = method(before, p_val=0.05)
    whole, with_gap = (detector.predict(values)["data"] for values in (after, missing))
    found.append((whole["is_drift"], with_gap["is_drift"]))
    said.append(
        f"{method.__name__}: drift {whole['is_drift']}, p {float(whole['p_val'][0]):.2f}; with one value of 300 "
        f"missing {with_gap['is_drift']}, p {float(with_gap['p_val'][0])}"
    )
print("a shift by three deviations, " + "; ".join(said))
sys.exit(found != [(1, 0), (1, 0)])
PYTHON
