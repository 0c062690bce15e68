#!/usr/bin/env bash
# pmvalsampsize 0.2.1, numpy 2.2.6, pandas 2.3.3, scipy 1.15.3, scikit-learn 1.7.2.
# Behaviour: the number of patients for an interval of the F1 score of a given width is found with a standard error of
# 0.0255, that of the default width of 0.1, whatever `f1ciwidth` is; the width that was asked for is written beside it.
# With the number that is given for a width of 0.05 the interval is 0.10 wide.
# Expected: as for the precision, four times as many patients for half of the width.
# Seen: "patients for an interval of the F1 score 0.20, 0.10 and 0.05 wide: 704, 704 and 704; of the precision: 77, 305
# and 1209"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pmvalsampsize==0.2.1 numpy==2.2.6 pandas==2.3.3 \
    scipy==1.15.3 scikit-learn==1.7.2 matplotlib==3.10.9 tabulate==0.9.0
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from pmvalsampsize.pmvalsampsize import pmvalsampsize

numbers = {"F1-score": [], "Precision": []}
for width in (0.2, 0.1, 0.05):
    plan = pmvalsampsize(
        type="b",
        prevalence=0.1,
        cstatistic=0.8,
        lpbeta=(1, 9),
        threshold=0.05,
        simobs=200000,
        noprint=True,
        f1ciwidth=width,
        precisionciwidth=width,
    )
    rows = {row[0]: row for row in plan["additional_results"]}
    for name, found in numbers.items():
        if float(rows[name][4]) != width:
            sys.exit("this has changed: the width is not written beside it")
        found.append(int(rows[name][1]))
score, precision = numbers["F1-score"], numbers["Precision"]
print(
    f"patients for an interval of the F1 score 0.20, 0.10 and 0.05 wide: {score[0]}, {score[1]} and {score[2]}; of the "
    f"precision: {precision[0]}, {precision[1]} and {precision[2]}"
)
sys.exit(0 if len(set(score)) == 1 and precision[2] > 3.5 * precision[1] > 12 * precision[0] else "this has changed")
PYTHON
