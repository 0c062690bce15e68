#!/usr/bin/env bash
# nltools 0.5.1, scipy 1.15.3, numpy 1.23.5.
# Behaviour: regress gives t = 0 and p = 1 to every coefficient whose standard error is below 1e-6. It is so for a
# diffusion coefficient in mm2/s, as tensors come from dipy and FSL: a fall by half a percent between two groups of
# 1000, with t = -3.6 in um2/ms, has t = 0 in mm2/s. The coefficient itself is right.
# Expected: the same t and p in both units, as scipy's linregress has.
# Seen: "difference of two groups in um2/ms -0.003, t -3.6, p 4e-04; in mm2/s -0.003, t 0.0, p 1e+00; scipy t -3.6"
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
import pandas as pd
from nltools.stats import regress
from scipy.stats import linregress

random = np.random.default_rng(0)
group = np.repeat([0.0, 1.0], 1000)
diffusivity = 0.80e-3 - 0.004e-3 * group + random.normal(0, 2e-5, 2000)  # mm2/s
design = pd.DataFrame({"intercept": 1.0, "group": group})


def figures(values, factor):
    """Return the difference of the groups in um2/ms, and its t and p."""
    difference, _, t, p, *_ = regress(design, values[:, None])
    return f"{difference[1] * factor:.3f}, t {t[1]:.1f}, p {p[1]:.0e}"


found = linregress(group, diffusivity)
line = (
    f"difference of two groups in um2/ms {figures(diffusivity * 1e3, 1)}; in mm2/s {figures(diffusivity, 1e3)}; scipy "
    f"t {found.slope / found.stderr:.1f}"
)
print(line)
expected = "difference of two groups in um2/ms -0.003, t -3.6, p 4e-04; in mm2/s -0.003, t 0.0, p 1e+00; scipy t -3.6"
sys.exit(0 if line == expected else "this has changed")
PYTHON
