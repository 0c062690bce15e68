#!/usr/bin/env bash
# nltools 0.5.1, numpy 1.23.5.
# Behaviour: isc_group gives the difference of two groups' intersubject correlations and an interval for it, of 95 %
# by default. From resamples the difference is taken off before, for the p-value, and the interval is that of what is
# left: it lies around 0 whatever the difference is, and ends below it. A difference of 0.48, with p 0.001, has an
# interval from -0.04 to 0.04. isc, for one group, gives the interval of the correlation itself.
# Expected: an interval around the difference, as the same resamples have it with the difference added again.
# Seen: "difference, p and interval of two groups that are unlike: 0.48, p 0.001, -0.04 to 0.04 (0.44 to 0.52); less
# so: 0.29, p 0.001, -0.06 to 0.05 (0.23 to 0.34)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nltools==0.5.1 nilearn==0.13.1 nibabel==5.3.3 \
    scikit-learn==1.7.2 scipy==1.15.3 pandas==2.3.3 joblib==1.6.0 numpy==1.23.5
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nltools.stats import isc_group

random = np.random.default_rng(0)
shared = random.normal(size=(100, 1))


def found(strong):
    """Return the difference, its p-value and interval, and the interval around the difference."""
    first = strong * shared + random.normal(size=(100, 20))
    second = 0.5 * shared + random.normal(size=(100, 20))
    result = isc_group(
        first, second, n_samples=1000, metric="mean", method="bootstrap", n_jobs=1, random_state=0, return_null=True
    )
    difference = result["isc_group_difference"]
    right = np.percentile(result["null_distribution"] + difference, [2.5, 97.5])
    low, high = result["ci"]
    return f"{difference:.2f}, p {result['p']:.3f}, {low:.2f} to {high:.2f} ({right[0]:.2f} to {right[1]:.2f})"


line = f"difference, p and interval of two groups that are unlike: {found(1.5)}; less so: {found(1)}"
print(line)
expected = (
    "difference, p and interval of two groups that are unlike: 0.48, p 0.001, -0.04 to 0.04 (0.44 to 0.52); less so: "
    "0.29, p 0.001, -0.06 to 0.05 (0.23 to 0.34)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
