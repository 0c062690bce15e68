#!/usr/bin/env bash
# dcmri 0.6.20, numpy 2.4.6.
# Behaviour: the flux of an injection (ca_injection) is 0 at the time at which it begins and at that at which it ends.
# What comes into the body depends on the time steps and is always too little: of 7 mmol of gadobutrol, given in 3.5 s,
# 6.5 mmol in steps of 0.25 s, which are the default of the models of the aorta that begin with this flux, and 4 mmol in
# steps of 2 s.
# Expected: 7 mmol at any step: weight times dose times concentration.
# Seen: "7.0 mmol injected: 6.5 in steps of 0.25 s, 6.0 in steps of 0.5 s, 6.0 in steps of 1 s, 4.0 in steps of 2 s"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dcmri==0.6.20 numpy==2.4.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import dcmri
import numpy as np

WEIGHT_KG, DOSE_ML_KG, RATE_ML_S, START_S = 70, 0.1, 2.0, 20.0


def injected(step_s):
    """Return what has come into the body after a minute, in mmol."""
    time = np.arange(0, 60, step_s)
    flux = dcmri.ca_injection(time, WEIGHT_KG, dcmri.ca_conc("gadobutrol"), DOSE_ML_KG, RATE_ML_S, START_S)
    return dcmri.conc_trap(flux, t=time)[-1]


right = WEIGHT_KG * DOSE_ML_KG * dcmri.ca_conc("gadobutrol")
found = ", ".join(f"{injected(step):.1f} in steps of {step} s" for step in (0.25, 0.5, 1, 2))
line = f"{right:.1f} mmol injected: {found}"
print(line)
expected = "7.0 mmol injected: 6.5 in steps of 0.25 s, 6.0 in steps of 0.5 s, 6.0 in steps of 1 s, 4.0 in steps of 2 s"
sys.exit(0 if line == expected else "this has changed")
PYTHON
