#!/usr/bin/env bash
# ecgprocess 1.2.0, numpy 1.26.4, pandas 2.2.3, scipy 1.11.4, pydicom 3.0.2, matplotlib 3.11.2, lxml 6.1.3, xmltodict
# 1.0.4.
# Behaviour: signal_standardise_res, which brings ECGs of devices with different steps to one, multiplies by the step
# that is asked for and divides by the one that there is: it is to be the other way round. An R wave of 1 mV, recorded
# in steps of 10 microvolts, is 0.25 mV in the steps of 5 that are promised; one in steps of 2.5 is 4 mV. Devices that
# differed by a factor of 4 differ by 16. The example in its documentation has the same numbers.
# Expected: 1 mV each, 200 steps of 5 microvolts, since "a sensitivity of 5.0 means 1 raw unit equals 5 microvolts", as
# its own notes say.
# Seen: "1 mV: 100 steps of 10.0 become 50 of 5.0, 0.25 mV; 200 steps of 5.0 become 200 of 5.0, 1.00 mV; 400 steps of
# 2.5 become 800 of 5.0, 4.00 mV"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check ecgprocess==1.2.0 numpy==1.26.4 pandas==2.2.3 \
    scipy==1.11.4 pydicom==3.0.2 matplotlib==3.11.2 lxml==6.1.3 xmltodict==1.0.4
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from ecgprocess.utils.engineering_tools import signal_standardise_res

said = []
for step in (10.0, 5.0, 2.5):  # microvolts
    beat = np.array([0, 1000, 0]) / step  # an R wave of 1 mV, in steps
    made = signal_standardise_res({"I": beat}, target_resolution=5.0, meta_dict={"wave_channel_sens_0": step})["I"]
    said.append(f"{beat[1]:.0f} steps of {step} become {made[1]:.0f} of 5.0, {made[1] * 5 / 1000:.2f} mV")
line = f"1 mV: {'; '.join(said)}"
print(line)
expected = (
    "1 mV: 100 steps of 10.0 become 50 of 5.0, 0.25 mV; 200 steps of 5.0 become 200 of 5.0, 1.00 mV; 400 steps of 2.5 "
    "become 800 of 5.0, 4.00 mV"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
