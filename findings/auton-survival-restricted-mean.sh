#!/usr/bin/env bash
# auton-survival 0.1.0, lifelines 0.26.4, scikit-survival 0.21.0, scikit-learn 1.2.2, scipy 1.10.1, pandas 1.5.3, numpy
# 1.26.4, tqdm 4.67.1, matplotlib 3.9.4.
# Behaviour: treatment_effect by restricted_mean takes the area under the Kaplan-Meier curve by trapezes, as if it fell
# on a straight line from one death to the next. It is flat until the next death: where patients are seen once a year,
# or few die, a large part of the area is missing, and more of it in the group that lives longer.
# Expected: the area under the steps, as lifelines has it (Royston and Parmar, BMC Medical Research Methodology 2013).
# Seen: "years that a treatment adds to the first ten: 1.00, by lifelines 2.00 (7.5 and 5.5)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check lifelines==0.26.4 scikit-survival==0.21.0 \
    scikit-learn==1.2.2 scipy==1.10.1 pandas==1.5.3 numpy==1.26.4 tqdm==4.67.1 matplotlib==3.9.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps auton-survival==0.1.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import importlib.util
import sys
from types import ModuleType

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time

package = ModuleType("auton_survival")  # its metrics alone: its networks need torch
package.__path__ = importlib.util.find_spec("auton_survival").submodule_search_locations
sys.modules["auton_survival"] = package
from auton_survival.metrics import treatment_effect

# Half of the treated die at the visit after five years, half of the others at that after one year, the rest later.
times = np.repeat([5.0, 12.0, 1.0, 12.0], 50)
patients = pd.DataFrame({"time": times, "event": np.repeat([1, 0, 1, 0], 50)})
treated = np.repeat([True, False], 100)
theirs = float(treatment_effect("restricted_mean", patients, treated, horizons=10)[0])
means = [
    restricted_mean_survival_time(KaplanMeierFitter().fit(times[group], patients["event"][group]), 10)
    for group in (treated, ~treated)
]
print(
    f"years that a treatment adds to the first ten: {theirs:.2f}, by lifelines {means[0] - means[1]:.2f} ({means[0]:.1f} "
    f"and {means[1]:.1f})"
)
sys.exit(not (abs(theirs - 1) < 1e-6 and abs(means[0] - means[1] - 2) < 1e-6))
PYTHON
