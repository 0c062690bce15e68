#!/usr/bin/env bash
# nltools 0.5.1, numpy 1.23.5.
# Behaviour: the standard error of the accuracy in Roc is the accuracy over the root of the number of patients: of p (1
# - p) / n both factors are p. It grows with the accuracy and is the largest, 0.10 for 100 patients, where no patient is
# called wrongly; an accuracy of 0.97 has 0.097, twice the error of a coin.
# Expected: the root of p (1 - p) / n: 0.00, 0.02 and 0.04 here, as 10000 resamples of the patients have it.
# Seen: "accuracy, its error, and that by resampling, of 100 patients: 1.00 +- 0.100 (0.000); 0.97 +- 0.097 (0.017);
# 0.80 +- 0.080 (0.040)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nltools==0.5.1 nilearn==0.13.1 nibabel==5.3.3 \
    scikit-learn==1.7.2 scipy==1.15.3 pandas==2.3.3 joblib==1.6.0 numpy==1.23.5
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nltools.analysis import Roc

ill = np.repeat([True, False], 50)
random = np.random.default_rng(0)


def figures(wrong):
    """Return accuracy and standard error of a classifier with this many errors, and the error by resampling."""
    scores = np.where(ill, 1.0, -1.0)
    scores[:wrong] *= -1
    found = Roc(input_values=scores, binary_outcome=ill)
    found.calculate(threshold_type="optimal_overall")
    right = ~found.misclass
    resampled = right[random.integers(0, 100, (10000, 100))].mean(1).std()
    return f"{found.accuracy:.2f} +- {found.accuracy_se:.3f} ({resampled:.3f})"


line = f"accuracy, its error, and that by resampling, of 100 patients: {figures(0)}; {figures(3)}; {figures(20)}"
print(line)
expected = (
    "accuracy, its error, and that by resampling, of 100 patients: 1.00 +- 0.100 (0.000); 0.97 +- 0.097 (0.017); "
    "0.80 +- 0.080 (0.040)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
