#!/usr/bin/env bash
# pyradiobiology 1.0.33, numpy 2.4.6.
# Behaviour: doses may be given in centigray, and units that differ are refused. The conversion to fractions of 2 Gy has
# the 2 as a bare number, so that in centigray it is one to fractions of 2 cGy: 60 Gy in 30 fractions are an EQD2 of 99
# Gy. All models that start from the physical dose use it: the risk of a complication is 1.00 for 0.29.
# Expected: 6000 cGy, as fractions of 2 Gy already are what they are converted to; the same risks in both units.
# Seen: "60 Gy in fractions of 2 Gy, its risk of a complication, and the chance of control of 40 Gy: in Gy EQD2 60.0 Gy,
# 0.29, 0.11; in cGy EQD2 99.3 Gy, 1.00, 0.41"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyradiobiology==1.0.33 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pyradiobiology import LKB, Dose, DoseBag, DoseType, DoseUnit, LinearQuadratic, TcpEmpirical


def figures(unit, gray):
    """Return the EQD2 of 60 Gy in 30 fractions and the chances of a complication and of control at 40 Gy in 20."""
    ratio = Dose(3.0 * gray, unit)
    dose = DoseBag.create(np.full(10, 60.0) * gray, unit)
    low = DoseBag.create(np.full(10, 40.0) * gray, unit)
    volumes = np.ones(10)
    complication = LKB(Dose(65.0 * gray, unit, DoseType.EQD2), m=0.14, n=0.5)
    control = TcpEmpirical(Dose(50.0 * gray, unit, DoseType.EQD2), gamma=2.0)
    risk = complication.response_from_pysical_dose(dose, volumes, ratio, 30)
    chance = control.response_from_pysical_dose(low, volumes, Dose(10.0 * gray, unit), 20)
    return f"EQD2 {LinearQuadratic(ratio, 30).eqd_two(dose).data[0] / gray:.1f} Gy, {risk:.2f}, {chance:.2f}"


line = (
    "60 Gy in fractions of 2 Gy, its risk of a complication, and the chance of control of 40 Gy: in Gy "
    f"{figures(DoseUnit.GY, 1)}; in cGy {figures(DoseUnit.CGY, 100)}"
)
print(line)
expected = (
    "60 Gy in fractions of 2 Gy, its risk of a complication, and the chance of control of 40 Gy: in Gy EQD2 60.0 "
    "Gy, 0.29, 0.11; in cGy EQD2 99.3 Gy, 1.00, 0.41"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
