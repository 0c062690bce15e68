#!/usr/bin/env bash
# smartnoise-sql 1.0.10, opendp 0.14.2, pandas 2.3.3, numpy 2.4.6.
# Behaviour: The mechanism named discrete_laplace, which is the default for counts and sums of integers, is the
# continuous Laplace mechanism, and the fraction of its answers is cut off: each private count is half a patient too low
# in the mean, whatever epsilon is, and a table of many groups loses one patient in two groups.
# Expected: Counts without a bias, as the discrete Laplace mechanism and the library's own SUM of floats give.
# Seen: "epsilon 10, wards of 20 patients in the mean: count 19.5, sum of integers 19.5, of floats 20.0; epsilon 1000,
# wards of 20 patients in the mean: count 19.5, sum of integers 19.5, of floats 20.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check smartnoise-sql==1.0.10 opendp==0.14.2 pandas==2.3.3 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
import snsql

patients = pd.DataFrame({"id": np.arange(10000), "ward": np.arange(10000) % 500, "ill": 1, "score": 1.0})
columns = {
    "row_privacy": False,
    "rows": len(patients),
    "id": {"type": "int", "private_id": True},
    "ward": {"type": "int"},
    "ill": {"type": "int", "lower": 0, "upper": 1},
    "score": {"type": "float", "lower": 0, "upper": 1},
}


def answers(epsilon):
    """Return the means over 500 wards of 20 patients each."""
    privacy = snsql.Privacy(epsilon=epsilon, delta=1e-6)
    reader = snsql.from_df(patients, metadata={"": {"h": {"patients": columns}}}, privacy=privacy)
    query = "SELECT ward, COUNT(*) AS n, SUM(ill) AS ill, SUM(score) AS score FROM h.patients GROUP BY ward"
    return np.array(reader.execute(query)[1:], float)[:, 1:].mean(axis=0)


found = {epsilon: answers(epsilon) for epsilon in (10.0, 1000.0)}
print(
    "; ".join(
        f"epsilon {epsilon:.0f}, wards of 20 patients in the mean: count {means[0]:.1f}, sum of integers "
        f"{means[1]:.1f}, of floats {means[2]:.1f}"
        for epsilon, means in found.items()
    )
)
sys.exit(not all(19.4 < value < 19.65 for means in found.values() for value in means[:2]))
PYTHON
