#!/usr/bin/env bash
# platipy 0.7.2, SimpleITK 2.5.7, numpy 2.4.6, pandas 2.3.3.
# Behaviour: calculate_v_x says of any dose above the highest one what it says of the highest: half of a target has 70
# Gy, and V75 and V100 are half of the target, too. And a max_dose below the highest leaves all voxels above it out of
# the histogram, which is then brought to 1: V50 of the same target is 0, and D2 40 Gy.
# Expected: V75 and V100 of 0 cc; V50 of 0.5 cc whatever the table's last column is.
# Seen: "half of 1 cc has 40 Gy, half 70: V50 0.5, V75 0.5, V100 0.5, D2 70.0; max_dose 60: V50 0.0, V75 0.0, V100 0.0,
# D2 40.1; max_dose 120: V50 0.5, V75 0.0, V100 0.0, D2 70.1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check platipy==0.7.2 SimpleITK==2.5.7 pydicom==2.4.5 \
    numpy==2.4.6 pandas==2.3.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from platipy.imaging.dose.dvh import calculate_d_x, calculate_dvh_for_labels, calculate_v_x

gray = np.full((10, 10, 10), 70, np.float32)  # voxels of 1 mm
gray[:5] = 40
target = sitk.GetImageFromArray(np.ones((10, 10, 10), np.uint8))


def metrics(max_dose):
    table = calculate_dvh_for_labels(sitk.GetImageFromArray(gray), {"target": target}, max_dose=max_dose)
    volumes, doses = calculate_v_x(table, [50, 75, 100]).iloc[0], calculate_d_x(table, 2).iloc[0]
    return ", ".join(f"{name} {volumes[name]:.1f}" for name in ("V50", "V75", "V100")) + f", D2 {doses['D2']:.1f}"


line = (
    f"half of 1 cc has 40 Gy, half 70: {metrics(None)}; max_dose 60: {metrics(60)}; max_dose 120: {metrics(120)}"
)
print(line)
expected = (
    "half of 1 cc has 40 Gy, half 70: V50 0.5, V75 0.5, V100 0.5, D2 70.0; max_dose 60: V50 0.0, V75 0.0, V100 0.0, "
    "D2 40.1; max_dose 120: V50 0.5, V75 0.0, V100 0.0, D2 70.1"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
