#!/usr/bin/env bash
# cgmquantify-updated 0.5.3, pandas 2.3.3, numpy 2.2.6.
# Behaviour: CONGA24 takes for each time of the day the mean of the changes from day to day without their signs, and the
# standard deviation of these means. Changes up and down by the same amount do not vary at all. With one day after
# another it is 0 where each morning is 50 mg/dL higher and each afternoon 50 lower than the day before.
# Expected: the standard deviation of the differences between readings 24 hours apart (McDonnell et al., 2005): 50.
# Seen: "CONGA over 24 hours of two days that differ by +50 mg/dL before noon and by -50 after: 0 (50 by its
# definition); of two that differ by chance with a deviation of 20: 12 (20)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps cgmquantify-updated==0.5.3
"$place/env/bin/pip" install --quiet --disable-pip-version-check pandas==2.3.3 numpy==2.2.6 matplotlib==3.10.9 \
    statsmodels==0.14.5 scipy==1.15.3
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import cgmquantify
import numpy as np
import pandas as pd


def table(glucose):
    """Return readings every five minutes as the library reads them from a file."""
    times = pd.Series(pd.date_range("2024-01-01", periods=len(glucose), freq="5min"))
    return pd.DataFrame({"Time": times, "Glucose": glucose, "Day": times.dt.date})


def variation(change):
    """Return CONGA24 of a day at 140 mg/dL and one with this change (288,), and the deviation of the differences."""
    days = table(np.concatenate([np.full(288, 140.0), 140.0 + change]))
    return float(cgmquantify.CONGA24(days)), float(np.std(change))


(turned, right), (chance, spread) = (
    variation(np.repeat([50.0, -50.0], 144)),
    variation(np.random.default_rng(0).normal(0, 20, 288)),
)
print(
    "CONGA over 24 hours of two days that differ by +50 mg/dL before noon and by -50 after: "
    f"{turned:.0f} ({right:.0f} by its definition); of two that differ by chance with a deviation of 20: {chance:.0f} "
    f"({spread:.0f})"
)
sys.exit(0 if turned < 1 and abs(right - 50) < 1e-9 and chance < 0.7 * spread else "this has changed")
PYTHON
