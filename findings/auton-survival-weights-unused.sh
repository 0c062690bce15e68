#!/usr/bin/env bash
# auton-survival 0.1.0, lifelines 0.26.4, scikit-survival 0.21.0, scikit-learn 1.2.2, scipy 1.10.1, pandas 1.5.3, numpy
# 1.26.4, tqdm 4.67.1, matplotlib 3.9.4.
# Behaviour: treatment_effect uses the propensity scores that it is handed to draw resamples, and for nothing else:
# without n_bootstrap, its default, the effect is the crude one. The warning that says so is made and never raised.
# Expected: the effect weighted by the inverse of the propensity, or the warning.
# Seen: "difference in survival by a treatment 0.13; crude -0.15, with propensity scores -0.15 (0 warnings), with them
# and resamples 0.12"
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
import warnings
from types import ModuleType

import numpy as np
import pandas as pd

package = ModuleType("auton_survival")  # its metrics alone: its networks need torch
package.__path__ = importlib.util.find_spec("auton_survival").submodule_search_locations
sys.modules["auton_survival"] = package
from auton_survival.metrics import treatment_effect

random = np.random.default_rng(0)
frailty = random.normal(size=4000)
propensity = 1 / (1 + np.exp(-1.5 * frailty))
treated = random.random(4000) < propensity  # the frail are treated more often


def alive(frailty, treatment):
    """Return the chance of living for ten years."""
    return np.exp(-np.exp(frailty - 0.5 * treatment))


times = random.exponential(10 * np.exp(0.5 * treated - frailty))
patients = pd.DataFrame({"time": np.minimum(times, 30), "event": (times < 30).astype(int)})


def effect(**options):
    """Return the difference in survival after ten years, and what was warned of besides interpolation."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        seen = treatment_effect("survival_at", patients, treated, horizons=10, **options)
    return float(np.mean(seen)), [line for line in warned if "interpolation" not in str(line.message)]


crude, _ = effect()
weighted, warned = effect(weights=pd.Series(propensity))
resampled, _ = effect(weights=pd.Series(propensity), n_bootstrap=20)
true = float(np.mean(alive(frailty, 1) - alive(frailty, 0)))
print(
    f"difference in survival by a treatment {true:.2f}; crude {crude:.2f}, with propensity scores {weighted:.2f} "
    f"({len(warned)} warnings), with them and resamples {resampled:.2f}"
)
sys.exit(not (weighted == crude < -0.1 and true > 0.1 and resampled > 0.08 and not warned))
PYTHON
