#!/usr/bin/env bash
# comorbidipy 0.8.0 (says that it needs Python 3.13; runs with 3.11), polars 1.27.1, typer 0.23.2, rich 14.1.0.
# Behaviour: the Hospital Frailty Risk Score counts each code of three characters once. hfrs shortens the codes, and
# then drops rows that are equal in the full code, too: two forms of one disease, as a stay has them, count twice. A
# patient with dementia coded as F00.1, F00.2 and F00.9 is of high risk.
# Expected: 7.1 points for F00, however often it is coded (Gilbert et al., Lancet 2018: weights for 109 codes of three
# characters).
# Seen: "dementia as F001: 7.1, Intermediate; as F001, F002 and F009: 21.3, High; as F00 three times: 7.1, Intermediate"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --ignore-requires-python comorbidipy==0.8.0 \
    polars==1.27.1 typer==0.23.2 rich==14.1.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import polars
from comorbidipy import hfrs

stays = {"F001": ["F001"], "F001, F002 and F009": ["F001", "F002", "F009"], "F00 three times": ["F00", "F00", "F00"]}
rows = [(stay, code) for stay, codes in stays.items() for code in codes]
scores = {row["id"]: row for row in hfrs(polars.DataFrame(rows, schema=["id", "code"], orient="row")).to_dicts()}
print(
    "dementia "
    + "; ".join(f"as {stay}: {scores[stay]['hfrs_score']:.1f}, {scores[stay]['hfrs_category']}" for stay in stays)
)
points = [round(scores[stay]["hfrs_score"], 1) for stay in stays]
sys.exit(not (points == [7.1, 21.3, 7.1] and scores["F001, F002 and F009"]["hfrs_category"] == "High"))
PYTHON
