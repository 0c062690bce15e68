#!/usr/bin/env bash
# elixhauser-ahrq 2026.1.3, pandas 2.3.3, numpy 2.4.6, openpyxl 3.1.5.
# Behaviour: poa_indicators of map_patient_diagnoses may be left out, and then 18 of 38 comorbidities are absent
# whatever is coded: heart failure, end-stage kidney disease, cirrhosis, disturbed coagulation, paralysis. A patient who
# has them all has the score 0 and is of low risk, where he has 41 with the letter Y beside each code. With indicators,
# a heart valve replaced years ago counts only with Y: its code Z95.2 is exempt from them, and hospitals leave the field
# empty or write E.
# Expected: missing, an error, or present as in map_single_code, and exempt codes as present, as the comment in the
# source says that they are.
# Seen: "heart failure, kidney failure, cirrhosis, coagulopathy, paralysis, heart valve: with Y 6 present, score 41,
# High; without indicators 0, 0, Low; the valve with E 0; each code by map_single_code 6"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check elixhauser-ahrq==2026.1.3 pandas==2.3.3 numpy==2.4.6 openpyxl==3.1.5
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from elixhauser_ahrq import ElixhauserMapper, ElixhauserScorer

mapper, scorer = ElixhauserMapper(), ElixhauserScorer("mortality")
codes = ["J18.9", "I50.22", "N18.6", "K74.60", "D65", "G81.90", "Z95.2"]  # the first, pneumonia, is the principal one


def judged(indicators):
    """Return how many comorbidities are present, the score and the risk."""
    flags = mapper.map_patient_diagnoses(codes, indicators)
    score = scorer.calculate_score(flags)
    return sum(flags.values()), score, scorer.stratify_risk(score).value, int(flags["VALVE"])


present, without, exempt = (judged(indicators) for indicators in (["Y"] * 7, None, ["Y"] * 6 + ["E"]))
single = len({name for code in codes[1:] for name, flag in mapper.map_single_code(code).items() if flag})
print(
    "heart failure, kidney failure, cirrhosis, coagulopathy, paralysis, heart valve: "
    f"with Y {present[0]} present, score {present[1]}, {present[2]}; "
    f"without indicators {without[0]}, {without[1]}, {without[2]}; the valve with E {exempt[3]}; "
    f"each code by map_single_code {single}"
)
sys.exit((present, without[:3], exempt[3], single) != ((6, 41, "High", 1), (0, 0, "Low"), 0, 6))
PYTHON
