#!/usr/bin/env bash
# opentiva 1.1.2, Cython 3.2.1.
# Behaviour: crcl_cockcroft_gault adds 2.3 kg to the ideal weight for each centimetre above 152.4, where Devine's
# formula has them for each inch: the ideal weight of a man of 180 cm is 113 kg. His clearance of creatinine, by which
# the Kleijn model of rocuronium is set, is 158 ml/min at 75 kg and a creatinine of 88 umol/l, where it is 105.
# Expected: 50 kg, or 45.5 kg, and 2.3 kg for each inch above five feet (Devine 1974): 75 kg.
# Seen: "man of 180 cm and 75 kg: clearance of creatinine 158 ml/min, by Devine's ideal weight 105; woman of 165 cm and
# 62 kg: clearance of creatinine 88 ml/min, by Devine's ideal weight 68"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check setuptools==80.9.0 wheel==0.48.0 Cython==3.2.1
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation opentiva==1.1.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from opentiva import crcl_cockcroft_gault


def by_hand(sex, age, weight, height, creatinine):
    """Return the clearance in ml/min by the ideal weight, for a body mass index from 18.5 to 25."""
    ideal = (50, 45.5)[sex] + 2.3 * (height / 2.54 - 60)
    return (140 - age) * ideal * (1, 0.85)[sex] / (72 * creatinine / 88.42)


people = {"man": (0, 40, 75, 180, 88), "woman": (1, 40, 62, 165, 88)}  # sex, years, kg, cm, umol/l
seen = {name: (crcl_cockcroft_gault(*person), by_hand(*person)) for name, person in people.items()}
print(
    "; ".join(
        f"{name} of {people[name][3]} cm and {people[name][2]} kg: clearance of creatinine {value:.0f} ml/min, by "
        f"Devine's ideal weight {right:.0f}"
        for name, (value, right) in seen.items()
    )
)
sys.exit(not all(value > 1.25 * right for value, right in seen.values()))
PYTHON
