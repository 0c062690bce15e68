#!/usr/bin/env bash
# pyrecist 0.1.0, pandas 2.2.3, numpy 1.26.4.
# Behaviour: the class CR is defined and never given: a patient all of whose lesions have gone has a partial response,
# as one whose lesions shrank by a third.
# Expected: a complete response (RECIST 1.1, Eisenhauer et al., Eur J Cancer 2009, section 4.3.1).
# Seen: "lesions of 30 mm each that shrink to 20 mm: PR; that disappear: PR; that grow to 40 mm: PD"
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


seen = [response(("target", 30, after), ("target", 30, after)) for after in (20, 0, 40)]
print(
    f"lesions of 30 mm each that shrink to 20 mm: {seen[0]}; that disappear: {seen[1]}; that grow to 40 mm: {seen[2]}"
)
sys.exit(not (seen == ["PR", "PR", "PD"]))
PYTHON
