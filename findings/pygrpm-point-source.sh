#!/usr/bin/env bash
# pyGRPM 0.8.5, xarray 2024.11.0, scipy 1.13.1, numpy 1.26.4.
# Behaviour: the anisotropy of a point source, phi(r), is the dose around a source averaged over the sphere, over the
# dose beside it (TG-43). Where the table of a source has none, as for its three high dose rate sources of iridium, it
# is taken for the plain mean of the anisotropy function F over the angles of the table. Those lie every degree at the
# ends of the source, where there is least dose and next to nothing of the sphere, and every five or ten degrees at
# its sides: all doses of a Flexisource as a point are 14 % too low at 1 cm, and 11 % at 3 cm.
# Expected: the mean over the sphere of the dose that the same class has for the line source, as it is for the two
# sources of iodine, whose phi is tabulated.
# Seen: "dose of a point source over the mean of the line source on the sphere, at 1, 3, 5 cm: Flexisource 0.86, 0.89,
# 0.91; MicroSelectronV2 0.86, 0.89, 0.90; MBDCA 0.87, 0.89, 0.91; SelectSeed 1.00, 1.00, 1.00; IsoAid 1.00, 1.00,
# 1.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pygrpm==0.8.5 xarray==2024.11.0 scipy==1.13.1 \
    numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pygrpm.tg43 import Seed, SourceType

RADII_CM = [1.0, 3.0, 5.0]
angles = np.arange(0.5, 180)  # degrees
weights = np.sin(np.radians(angles))


def ratios(name):
    """Return the dose of the source as a point over the mean over the sphere of that as a line, at each radius."""
    found = []
    for radius in RADII_CM:
        point = Seed(name, SourceType.Point).dose([radius]).item()
        around = Seed(name, SourceType.Line).dose([radius], angles).values.ravel()
        found.append(f"{point / np.average(around, weights=weights):.2f}")
    return f"{name} " + ", ".join(found)


sources = ["Flexisource", "MicroSelectronV2", "MBDCA", "SelectSeed", "IsoAid"]
line = "dose of a point source over the mean of the line source on the sphere, at 1, 3, 5 cm: "
line += "; ".join(ratios(name) for name in sources)
print(line)
expected = (
    "dose of a point source over the mean of the line source on the sphere, at 1, 3, 5 cm: Flexisource 0.86, 0.89, "
    "0.91; MicroSelectronV2 0.86, 0.89, 0.90; MBDCA 0.87, 0.89, 0.91; SelectSeed 1.00, 1.00, 1.00; IsoAid 1.00, 1.00, "
    "1.00"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
