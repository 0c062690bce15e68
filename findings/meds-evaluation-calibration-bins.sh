#!/usr/bin/env bash
# meds-evaluation 0.0.6, scikit-learn 1.9.1, polars 2.1.0, numpy 2.4.6.
# Behaviour: calibration_error of evaluate_binary_classification is the mean over bins, however many patients are in
# them: one healthy patient with a risk of 0.95 beside 1000 at 0.05, of whom 50 are ill, makes it 0.475, the same as a
# model that tells all 1001 patients a risk which is 0.475 off. It is not said which of the calibration errors it is.
# Expected: the expected calibration error, each bin by its patients (Naeini et al., AAAI 2015), 0.0009 here, as
# torchmetrics has it by default.
# Seen: "one of 1001 patients at 0.95: calibration error 0.475, each bin by its patients 0.0009; all of them 0.475 off:
# 0.475, 0.475"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check meds-evaluation==0.0.6 polars==2.1.0 \
    scikit-learn==1.9.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from datetime import datetime

import numpy as np
import polars as pl
from meds_evaluation.evaluate import evaluate_binary_classification


def error(risks, ill):
    """Return the calibration error of patients with one sample each, and the expected one by hand."""
    table = pl.DataFrame(
        {
            "subject_id": range(len(risks)),
            "prediction_time": [datetime(2026, 1, 1)] * len(risks),
            "boolean_value": ill.astype(bool),
            "predicted_boolean_value": risks > 0.5,
            "predicted_boolean_probability": risks,
        }
    )
    seen = evaluate_binary_classification(table, samples_per_subject=1)["samples_equally_weighted"]["calibration_error"]
    groups = [risks == risk for risk in np.unique(risks)]
    right = sum(group.mean() * abs(ill[group].mean() - risks[group].mean()) for group in groups)
    return float(seen), float(right)


ill = np.arange(1001) < 50
one = error(np.where(np.arange(1001) == 1000, 0.95, 0.05), ill)
everybody = error(np.full(1001, 50 / 1001 + 0.475), ill)
print(
    f"one of 1001 patients at 0.95: calibration error {one[0]:.3f}, each bin by its patients {one[1]:.4f}; "
    f"all of them 0.475 off: {everybody[0]:.3f}, {everybody[1]:.3f}"
)
sys.exit(not (one[0] > 0.47 and one[1] < 0.001 and abs(everybody[0] - everybody[1]) < 1e-6))
PYTHON
