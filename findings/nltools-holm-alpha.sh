#!/usr/bin/env bash
# nltools 0.5.1, statsmodels 0.14.4, numpy 1.23.5.
# Behaviour: holm_bonf takes an error rate and does not use it: the threshold is that of 0.05, whatever is asked for. It
# is not Holm's either: the largest p-value below its bound is taken where Holm stops at the first one above, so that
# p-values of 0.030, 0.040 and 0.049 are all significant and by Holm none is.
# Expected: with an error rate of 0.001 none of the four p-values from 0.002 to 0.009, and none of the three near 0.05,
# as statsmodels has it (Holm, Scandinavian Journal of Statistics 6, 65, 1979).
# Seen: "significant of four p-values up to 0.009, and by Holm, at 0.05: 4 (4); at 0.001: 4 (0); of three from 0.030 to
# 0.049 at 0.05: 3 (0)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nltools==0.5.1 nilearn==0.13.1 nibabel==5.3.3 \
    scikit-learn==1.7.2 scipy==1.15.3 pandas==2.3.3 joblib==1.6.0 numpy==1.23.5 statsmodels==0.14.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nltools.stats import holm_bonf
from statsmodels.stats.multitest import multipletests


def significant(p_values, alpha):
    """Return how many p-values are at or below the threshold of nltools, and how many Holm rejects."""
    p_values = np.array(p_values)
    right = multipletests(p_values, alpha, method="holm")[0].sum()
    return f"{(p_values <= holm_bonf(p_values, alpha)).sum()} ({right})"


small, near = [0.002, 0.004, 0.007, 0.009], [0.030, 0.040, 0.049]
line = (
    f"significant of four p-values up to 0.009, and by Holm, at 0.05: {significant(small, 0.05)}; at 0.001: "
    f"{significant(small, 0.001)}; of three from 0.030 to 0.049 at 0.05: {significant(near, 0.05)}"
)
print(line)
expected = (
    "significant of four p-values up to 0.009, and by Holm, at 0.05: 4 (4); at 0.001: 4 (0); of three from 0.030 "
    "to 0.049 at 0.05: 3 (0)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
