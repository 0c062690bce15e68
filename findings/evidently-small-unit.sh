#!/usr/bin/env bash
# evidently 0.7.23, scipy 1.17.1, pandas 2.3.3, numpy 1.26.4.
# Behaviour: The normed Wasserstein distance, which is the default for numbers of more than 1000 patients, is divided by
# the standard deviation, but by 0.001 where that is smaller: a diffusion coefficient in mm²/s that has moved by nine
# tenths of its deviation has 0.09, below the threshold of 0.1, and no drift is reported. In µm²/ms the same patients
# have 0.93.
# Expected: The distance in standard deviations does not depend on the unit, as it is in the other tests of the library.
# Seen: "the same patients in um2/ms: distance 0.93, drifted columns 1; in mm2/s: 0.093, 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check evidently==0.7.23 scipy==1.17.1 pandas==2.3.3 \
    numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import DriftedColumnsCount, ValueDrift

generator = np.random.default_rng(0)
before, after = generator.normal(0.8, 0.1, 2000), generator.normal(0.89, 0.1, 2000)  # um2/ms
columns = DataDefinition(numerical_columns=["adc"])


def drift(unit):
    """Return the distance, and how many columns of one have drifted."""
    old, new = (Dataset.from_pandas(pd.DataFrame({"adc": values * unit}), columns) for values in (before, after))
    distance, count = Report([ValueDrift(column="adc"), DriftedColumnsCount()]).run(new, old).dict()["metrics"]
    return float(distance["value"]), int(count["value"]["count"])


(coarse, found), (fine, missed) = drift(1.0), drift(1e-3)
print(f"the same patients in um2/ms: distance {coarse:.2f}, drifted columns {found}; in mm2/s: {fine:.3f}, {missed}")
sys.exit(not (coarse > 0.9 and found == 1 and fine < 0.1 and missed == 0))
PYTHON
