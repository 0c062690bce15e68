#!/usr/bin/env bash
# neurokit2 0.3.0, numpy 2.4.6, pandas 2.2.3, scipy 1.17.1, scikit-learn 1.9.1, matplotlib 3.11.2, PyWavelets 1.9.0.
# Behaviour: HRV_TINN is documented as the width of the triangle that fits the histogram of the intervals best. Its left
# foot is not searched for: after the first one, which is the shortest interval, the inner loop over the right foot is
# not started again. TINN is the distance from the shortest interval, and one premature beat among 2000 changes it from
# 234 to 578 ms, where the best triangle stays as it is.
# Expected: the feet with the least squared error (Task Force, Circulation 1996, 93:1043, figure 2), as searched for
# here in the same histogram.
# Seen: "TINN (the best triangle's) with one early beat after: none 234 (188), 600 ms 281 (188), 450 ms 430 (188), 300
# ms 578 (188)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check neurokit2==0.3.0 numpy==2.4.6 pandas==2.2.3 \
    scipy==1.17.1 scikit-learn==1.9.1 matplotlib==3.11.2 PyWavelets==1.9.0 requests==2.34.2
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import neurokit2
import numpy as np

WIDTH = 1000 / 128  # ms, of a bin


def best(intervals):
    """Return the width of the triangle with the least squared error, of all pairs of feet."""
    edges = np.arange(0, intervals.max() + WIDTH, WIDTH)
    counts = np.append(np.histogram(intervals, edges)[0], 0)
    top = counts.argmax()
    found = np.inf, 0.0
    for left in range(top):
        for right in range(top + 1, len(edges)):
            triangle = np.interp(edges, edges[[left, top, right]], [0, counts[top], 0], left=0, right=0)
            found = min(found, (((counts - triangle) ** 2).sum(), edges[right] - edges[left]))
    return found[1]


usual = np.round(np.random.default_rng(0).normal(800, 40, 2000))  # ms
said = []
for early in (None, 600, 450, 300):
    intervals = usual if early is None else np.append(usual, early)
    peaks = np.append(0, np.cumsum(intervals)).astype(int)
    width = neurokit2.hrv_time(peaks, sampling_rate=1000)["HRV_TINN"].iloc[0]
    said.append(f"{'none' if early is None else f'{early} ms'} {width:.0f} ({best(intervals):.0f})")
line = f"TINN (the best triangle's) with one early beat after: {', '.join(said)}"
print(line)
expected = (
    "TINN (the best triangle's) with one early beat after: none 234 (188), 600 ms 281 (188), 450 ms 430 (188), 300 ms "
    "578 (188)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
