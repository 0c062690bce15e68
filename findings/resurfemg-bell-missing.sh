#!/usr/bin/env bash
# resurfemg 1.1.3, scipy 1.17.1, numpy 2.4.6.
# Behaviour: evaluate_bell_curve_error judges a breath by how far its EMG is from a bell, in per cent, and calls it
# valid up to 40 %. A breath that cannot be judged, as a sample of it or of the five seconds around it is missing, is
# said to be skipped, and has an error of 0 % and is valid, better than any other, where the absolute error is NaN.
# Expected: not valid, as NaN is not below 40, in the percentage, too.
# Seen: "a bell: 0 %, 0.00, valid; noise: 104 %, 8.34, not valid; the same noise with a sample missing: 0 %, nan,
# valid"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check resurfemg==1.1.3 numpy==2.4.6 scipy==1.17.1 \
    pandas==3.1.1
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from resurfemg.postprocessing.features import time_product
from resurfemg.postprocessing.quality_assessment import evaluate_bell_curve_error

RATE_HZ = 100
second = np.arange(1000) / RATE_HZ
bell = 1 + 10 * np.exp(-(((second - 5) / 0.3) ** 2))
jagged = 1 + 10.0 * (np.floor(second * 10) % 3 == 0)
gap = jagged.copy()
gap[300] = np.nan  # two seconds before the breath, or one before it begins


def judged(envelope):
    """Return error in %, absolute error and verdict of the breath from 4 to 6 s."""
    area = time_product(envelope, RATE_HZ, [400], [600])
    valid, error, percent, *_ = evaluate_bell_curve_error([500], [400], [600], envelope, RATE_HZ, area)
    return f"{abs(percent[0]):.0f} %, {error[0]:.2f}, {'valid' if valid[0] else 'not valid'}"


line = f"a bell: {judged(bell)}; noise: {judged(jagged)}; the same noise with a sample missing: {judged(gap)}"
print(line)
expected = (
    "a bell: 0 %, 0.00, valid; noise: 104 %, 8.34, not valid; the same noise with a sample missing: 0 %, nan, valid"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
