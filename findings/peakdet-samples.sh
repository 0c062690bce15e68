#!/usr/bin/env bash
# peakdet 0.6.1, scipy 1.17.1, matplotlib 3.10.8, loguru 0.7.3, numpy 1.26.4.
# Behaviour: in HRV, differences between successive intervals are counted in samples, while intervals are in ms: RMSSD,
# SDSD, pNN50 and pNN20 are right at 1000 samples a second alone. At 100 an RMSSD of 60 ms is 6, and no difference is
# above "50 ms", which is half a second there. Intervals that get shorter never count, as the sign of a difference
# stays: pNN50 is halved.
# Expected: the same figures for the same heart at every rate: an RMSSD of 60 ms and a pNN50 near 100 %, as all
# intervals differ by 60 ms from the one before.
# Seen: "SDNN, RMSSD and pNN50 (30 ms, 60 ms, 100 %) at 1000 samples a second 30, 60, 50 %; at 500 30, 30, 0 %; at 100
# 30, 6, 0 %"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check peakdet==0.6.1 scipy==1.17.1 matplotlib==3.10.8 \
    loguru==0.7.3 numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from peakdet import HRV, Physio


def figures(per_second):
    """Return SDNN, RMSSD and pNN50 of a heart whose intervals go up and down by 60 ms."""
    beats_ms = 500 + np.cumsum(np.tile([770, 830], 150))
    beats = (beats_ms * per_second / 1000).astype(int)
    heart = HRV(Physio(np.zeros(beats[-1] + per_second), fs=per_second, metadata={"peaks": beats}))
    return f"{heart.sdnn:.0f}, {heart.rmssd:.0f}, {100 * heart.pnn50:.0f} %"


line = (
    f"SDNN, RMSSD and pNN50 (30 ms, 60 ms, 100 %) at 1000 samples a second {figures(1000)}; at 500 {figures(500)}; at "
    f"100 {figures(100)}"
)
print(line)
expected = (
    "SDNN, RMSSD and pNN50 (30 ms, 60 ms, 100 %) at 1000 samples a second 30, 60, 50 %; at 500 30, 30, 0 %; at "
    "100 30, 6, 0 %"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
