#!/usr/bin/env bash
# calzone-tool 0.1.0, numpy 1.26.4, scipy 1.15.3.
# Behaviour: each bin of a reliability diagram begins above its lower edge, the first one too. Bins of equal numbers
# begin at the lowest risk that is given, so all patients with that risk are in no bin; bins of equal width leave out
# all with a risk of exactly 0. The calibration errors and the test of Hosmer and Lemeshow are taken of the others.
# Trees and clipped networks give many patients the same lowest risk.
# Expected: half of the patients are told 0.01 and 30 % of them are ill, the others have their true risks: 0.15.
# Seen: "calibration error of a model that tells half of the patients 1% where 30% are ill: 0.008 in bins of equal
# numbers (p 0.31, 5000 of 10000 counted), 0.149 in bins of equal width; one that tells them 0%: 0.008 and 0.012; at
# least 0.143 and 0.148 by definition"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check calzone-tool==0.1.0 statsmodels==0.14.5 \
    scipy==1.15.3 numpy==1.26.4 pandas==2.3.3 matplotlib==3.10.9 scikit-learn==1.7.2
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from calzone.metrics import CalibrationMetrics
from calzone.utils import reliability_diagram

random = np.random.default_rng(0)
risks = random.uniform(0.05, 0.95, 10000)
ill = (random.random(10000) < risks).astype(int)
ill[:5000] = random.random(5000) < 0.3


def errors(lowest):
    """Return both calibration errors, p of Hosmer and Lemeshow, patients counted, and the least the error can be."""
    told = risks.copy()
    told[:5000] = lowest
    table = np.column_stack([1 - told, told])
    found = CalibrationMetrics(num_bins=10).calculate_metrics(ill, table, ["ECE-C", "ECE-H", "HL-C"])
    counted = int(reliability_diagram(ill, table, class_to_plot=1, is_equal_freq=True)[3].sum())
    return found["ECE-C"], found["ECE-H"], found["HL-C p-value"], counted, abs(ill[:5000].mean() - lowest) / 2


low, zero = errors(0.01), errors(0.0)
print(
    f"calibration error of a model that tells half of the patients 1% where 30% are ill: {low[0]:.3f} in bins of equal "
    f"numbers (p {low[2]:.2f}, {low[3]} of 10000 counted), {low[1]:.3f} in bins of equal width; one that tells them "
    f"0%: {zero[0]:.3f} and {zero[1]:.3f}; at least {low[4]:.3f} and {zero[4]:.3f} by definition"
)
wrong = low[0] < 0.02 and zero[0] < 0.02 and zero[1] < 0.02 and low[3] == 5000 and low[2] > 0.1
sys.exit(0 if wrong and low[1] > 0.14 and min(low[4], zero[4]) > 0.14 else "this has changed")
PYTHON
