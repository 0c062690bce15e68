#!/usr/bin/env bash
# pyaki 1.0.13, pandas 2.3.3, numpy 2.4.6. Needs Python 3.12.
# Behaviour: the preprocessor that Analyser uses by default takes an hour without urine for an hour that nobody wrote
# down. A patient of 80 kg who has 0 ml an hour for a day has no stage of kidney injury in any hour of it, where one who
# has 1 ml has stage 3. The gap is then filled from what follows in the table, which is the next patient: the last hours
# of the first one show urine of the second.
# Expected: anuria for 12 hours is stage 3, the worst (KDIGO 2012, table 2), and no patient gets the urine of another;
# the table is one of urine in ml, sampled hourly, as the documentation of UrineOutputProbe says.
# Seen: "a day of 10, 1 and 0 ml an hour: highest stage 3, 3, 0, hours with a stage 24, 24, 0; before a patient with 400
# ml in his first hour: the last hour without urine has 57 ml"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3.12 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyaki==1.0.13 pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

import pandas as pd
from pyaki.kdigo import Analyser
from pyaki.probes import UrineOutputProbe
from pyaki.utils import Dataset, DatasetType


def stages(*stays):
    """Return the hourly table of patients of 80 kg with these hourly volumes in ml."""
    hours = [pd.date_range("2026-01-01", periods=len(volumes), freq="h") for volumes in stays]
    urine = pd.concat(
        pd.DataFrame({"stay_id": number, "charttime": times, "urineoutput": pd.Series(volumes, dtype=float)})
        for number, (times, volumes) in enumerate(zip(hours, stays))
    )
    weights = pd.DataFrame({"stay_id": range(len(stays)), "weight": 80.0})
    tables = [Dataset(DatasetType.URINEOUTPUT, urine), Dataset(DatasetType.DEMOGRAPHICS, weights)]
    return Analyser(tables, probes=[UrineOutputProbe()]).process_stays()


well = [80] * 24
days = [stages(well + [volume] * 24).loc[0] for volume in (10, 1, 0)]
highest = [int(day["stage"].max()) for day in days]
known = [int(day["stage"][24:].notna().sum()) for day in days]
last = float(stages(well + [0] * 24, [400] * 12).loc[0]["urineoutput"].iloc[-1])
print(
    f"a day of 10, 1 and 0 ml an hour: highest stage {', '.join(map(str, highest))}, hours with a stage "
    f"{', '.join(map(str, known))}; before a patient with 400 ml in his first hour: the last hour without urine has "
    f"{last:.0f} ml"
)
sys.exit(not (highest == [3, 3, 0] and known == [24, 24, 0] and round(last) == 57))
PYTHON
