#!/usr/bin/env bash
# diametrics 0.4.3, pandas 2.3.3, numpy 1.26.4, scikit-learn 1.7.2.
# Behaviour: auc() takes the patients apart by their ID and then, for each of them, reads the table of all. Every
# patient has the same area under the curve of glucose, that of everybody put together. average_glc() beside it keeps
# them apart.
# Expected: for glucose that does not change the mean itself: 100 and 300 mg/dL.
# Seen: "area under the curve (mean) of two patients at 100 and 300 mg/dL: 200 (100) and 200 (300); each alone: 100 and
# 300"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps diametrics==0.4.3
"$place/env/bin/pip" install --quiet --disable-pip-version-check pandas==2.3.3 numpy==1.26.4 scipy==1.15.3 \
    scikit-learn==1.7.2 matplotlib==3.10.9 seaborn==0.13.2 plotly==5.24.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from diametrics import metrics

times = pd.date_range("2024-01-01", periods=288, freq="5min")
patients = [pd.DataFrame({"ID": name, "time": times, "glc": glucose}) for name, glucose in (("a", 100.0), ("b", 300.0))]
both = pd.concat(patients)
areas, means = metrics.auc(both)["auc"], metrics.average_glc(both)["avg_glc"]
alone = [float(metrics.auc(patient)["auc"].iloc[0]) for patient in patients]
line = (
    "area under the curve (mean) of two patients at 100 and 300 mg/dL: "
    f"{areas[0]:.0f} ({means[0]:.0f}) and {areas[1]:.0f} ({means[1]:.0f}); each alone: {alone[0]:.0f} and "
    f"{alone[1]:.0f}"
)
print(line)
expected = (
    "area under the curve (mean) of two patients at 100 and 300 mg/dL: 200 (100) and 200 (300); each alone: 100 and 300"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
