#!/usr/bin/env bash
# icd 0.1.3, pandas 2.3.3, numpy 2.0.2.
# Behaviour: codes are compared with tables that write them without a dot, by the letters that they contain. A code of
# three characters is found with its dot, one of four or more is not: kidney failure N18.5 is seen, diabetes E11.9 and
# an old infarction I25.2 are nobody's.
# Expected: the same comorbidities with and without the dot, which ICD-10 itself writes.
# Seen: "comorbidities of 8 patients, without a dot: 8, with it: 3; lost with the dot: I25.2, E11.9, E10.2, I42.0,
# K70.3"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check icd==0.1.3 pandas==2.3.3 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import icd
import pandas as pd

codes = ["I25.2", "E11.9", "E10.2", "I42.0", "K70.3", "N18.5", "J44.1", "I50.9"]


def found(written):
    """Return the comorbidities of each patient by the table of Charlson."""
    patients = pd.DataFrame({"patient": range(len(written)), "code": written})
    seen = icd.icd_to_comorbidities(patients, "patient", ["code"], mapping="charlson10").drop(columns="patient")
    return [list(seen.columns[row.astype(bool)]) for row in seen.to_numpy()]


plain, dotted = found([code.replace(".", "") for code in codes]), found(codes)
lost = [code for code, before, after in zip(codes, plain, dotted) if before and not after]
print(
    f"comorbidities of {len(codes)} patients, without a dot: {sum(map(bool, plain))}, with it: "
    f"{sum(map(bool, dotted))}; lost with the dot: {', '.join(lost)}"
)
sys.exit(not (all(plain) and len(lost) >= 4))
PYTHON
