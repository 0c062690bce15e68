#!/usr/bin/env bash
# pmvalsampsize 0.2.1, numpy 2.2.6, pandas 2.3.3, scipy 1.15.3, scikit-learn 1.7.2.
# Behaviour: the formula of the net benefit goes on in a second line without a bracket or a backslash. The second line,
# what the false positives cost, is a statement of its own and thrown away. The net benefit that a validation study is
# planned with is prevalence times sensitivity, and the standardised one the sensitivity, at any threshold and for any
# specificity.
# Expected: sensitivity less odds of the threshold times (1 - specificity) times (1 - prevalence) / prevalence.
# Seen: "standardised net benefit at a threshold of 0.05: 0.92 (0.63 by its definition, from the sensitivity 0.92 and
# specificity 0.40 that are given back); at 0.10: 0.74 (0.39); at 0.20: 0.38 (0.14)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pmvalsampsize==0.2.1 numpy==2.2.6 pandas==2.3.3 \
    scipy==1.15.3 scikit-learn==1.7.2 matplotlib==3.10.9 tabulate==0.9.0
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from pmvalsampsize.pmvalsampsize import pmvalsampsize


def benefits(threshold):
    """Return what is planned with, and what it is by its definition."""
    plan = pmvalsampsize(
        type="b", prevalence=0.1, cstatistic=0.8, lpbeta=(1, 9), threshold=threshold, simobs=200000, noprint=True
    )
    true = plan["sensitivity"] - (1 - plan["specificity"]) * 0.9 / 0.1 * threshold / (1 - threshold)
    return float(plan["standardised_nb"]), float(true), float(plan["sensitivity"]), float(plan["specificity"])


rows = [benefits(threshold) for threshold in (0.05, 0.1, 0.2)]
print(
    f"standardised net benefit at a threshold of 0.05: {rows[0][0]:.2f} ({rows[0][1]:.2f} by its definition, from the "
    f"sensitivity {rows[0][2]:.2f} and specificity {rows[0][3]:.2f} that are given back); at 0.10: {rows[1][0]:.2f} "
    f"({rows[1][1]:.2f}); at 0.20: {rows[2][0]:.2f} ({rows[2][1]:.2f})"
)
same = all(abs(planned - sensitivity) < 1e-9 and planned - true > 0.1 for planned, true, sensitivity, _ in rows)
sys.exit(0 if same else "this has changed")
PYTHON
