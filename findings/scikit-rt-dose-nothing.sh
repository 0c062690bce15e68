#!/usr/bin/env bash
# scikit-rt 0.8.2, shapely 2.0.7, numpy 1.26.4.
# Behaviour: get_mean_dose and get_dose_quantile of a structure leave out all of its voxels that get no dose, as the
# dose in it is taken to be what is above 0. An organ that gets 20 Gy in one half and nothing in the other, as the far
# side of a field or beyond a proton's range, has a mean and a median of 20 Gy, as if all of it got 20. Dose-volume
# histograms are made of the same values.
# Expected: 10 Gy for a half, 2 Gy for a tenth, and a median of 0 Gy for a tenth.
# Seen: "mean and median in Gy, and the right mean, of an organ that gets 20 Gy: everywhere 20, 20 (20); in a half 20,
# 20 (10); in a tenth 20, 20 (2)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps scikit-rt==0.8.2
"$place/env/bin/pip" install --quiet --disable-pip-version-check shapely==2.0.7 pydicom==2.4.5 nibabel==5.3.3 \
    SimpleITK==2.4.1 ipywidgets==8.1.7 tomli==2.2.1 tomli-w==1.2.0 scikit-image==0.25.2 scipy==1.15.3 pandas==2.3.3 \
    matplotlib==3.10.9 numpy==1.26.4
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from skrt.dose import Dose
from skrt.structures import ROI

GRID = {"voxel_size": (2, 2, 3), "origin": (0, 0, 0)}
inside = np.zeros((40, 40, 10), dtype=bool)
inside[10:30, 10:30, 2:8] = True


def found(columns):
    """Return mean and median of an organ 20 columns wide of which so many get 20 Gy, and its right mean."""
    dose = np.zeros(inside.shape)
    dose[:, 10 : 10 + columns] = 20
    given, organ = Dose(dose, **GRID), ROI(inside, name="lung", **GRID)
    return f"{given.get_mean_dose(organ):.0f}, {given.get_dose_quantile(organ, 0.5):.0f} ({dose[inside].mean():.0f})"


line = (
    f"mean and median in Gy, and the right mean, of an organ that gets 20 Gy: everywhere {found(20)}; in a half "
    f"{found(10)}; in a tenth {found(2)}"
)
print(line)
expected = (
    "mean and median in Gy, and the right mean, of an organ that gets 20 Gy: everywhere 20, 20 (20); in a half 20, "
    "20 (10); in a tenth 20, 20 (2)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
