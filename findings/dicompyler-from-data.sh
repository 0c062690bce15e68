#!/usr/bin/env bash
# dicompyler-core 0.5.6, pydicom 2.4.4, numpy 1.26.4.
# Behaviour: DVH.from_data makes a histogram of doses and calls it cumulative, which it is not: numpy's counts per bin
# are taken for the volume above each dose. For 20,000 doses spread by 5 Gy around 50 Gy, 95 % of the volume has at
# least 51 Gy and half of it at least 44 Gy, and the volume is 3,306.
# Expected: D95 below D50, D50 the median, and a volume of 20,000, as of the same histogram called differential.
# Seen: "from_data: D95 51, D50 44, V60Gy 194, volume 3306; as differential: D95 42, D50 50, V60Gy 559, volume 20000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicompyler-core==0.5.6 pydicom==2.4.4 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from dicompylercore.dvh import DVH

doses = np.random.RandomState(0).normal(50, 5, 20000).round().astype(int)  # Gy
made = DVH.from_data(doses)
right = DVH(made.counts, made.bins, "differential").cumulative


def describe(dvh):
    above = dvh.statistic("V60Gy").value
    return f"D95 {dvh.D95.value:.0f}, D50 {dvh.D50.value:.0f}, V60Gy {above}, volume {dvh.volume}"


seen = f"from_data: {describe(made)}; as differential: {describe(right)}"
print(seen)
expected = (
    "from_data: D95 51, D50 44, V60Gy 194, volume 3306; as differential: D95 42, D50 50, V60Gy 559, volume "
    "20000"
)
sys.exit(0 if seen == expected else "this has changed")
PYTHON
