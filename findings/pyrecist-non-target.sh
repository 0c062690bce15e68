#!/usr/bin/env bash
# pyrecist 0.1.0, pandas 2.2.3, numpy 1.26.4.
# Behaviour: the sum of diameters is that of all lesions of a study, non-target ones, too; the column of the category is
# asked for, checked, and not used.
# Expected: the response of the target lesions alone (RECIST 1.1, Eisenhauer et al., Eur J Cancer 2009, section 4.3),
# "based exclusively on target lesions", as the package's description says.
# Seen: "target lesions shrink by 40 %: PR; the same with a non-target lesion that grows from 10 to 60 mm: PD; target
# lesions grow by 25 %: PD; the same with a non-target lesion that goes: PR"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyrecist==0.1.0 pandas==2.2.3 numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from pyrecist.assessment import Evaluator
from pyrecist.data import Reader


def response(*lesions):
    """Return the response at the second study, from the category and the two diameters (mm) of each lesion."""
    rows = [
        (1, date, diameters[study], alias, category)
        for study, date in enumerate((20260105, 20260406))
        for alias, (category, *diameters) in zip("ABC", lesions)
    ]
    names = ["patient_id", "study_date", "measurement", "lesion_label_alias", "lesion_category"]
    pd.DataFrame(rows, columns=names).to_csv("lesions.csv", index=False)
    reader = Reader()
    reader.read_measurements("lesions.csv")
    return Evaluator(reader).evaluate_recist().classification.iloc[0]


shrinks, grows = [("target", 30, 18), ("target", 30, 18)], [("target", 30, 37.5), ("target", 30, 37.5)]
seen = [
    response(*shrinks),
    response(*shrinks, ("non-target", 10, 60)),
    response(*grows),
    response(*grows, ("non-target", 60, 0)),
]
print(
    f"target lesions shrink by 40 %: {seen[0]}; the same with a non-target lesion that grows from 10 to 60 mm: "
    f"{seen[1]}; target lesions grow by 25 %: {seen[2]}; the same with a non-target lesion that goes: {seen[3]}"
)
sys.exit(not (seen == ["PR", "PD", "PD", "PR"]))
PYTHON
