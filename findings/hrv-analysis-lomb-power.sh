#!/usr/bin/env bash
# hrv-analysis 1.0.6, nolds 0.6.2, numpy 1.26.4, scipy 1.17.1, pandas 3.0.6, astropy 7.2.3, matplotlib 3.11.2. Installed
# without its own list of dependencies, whose nolds needs Python 3.12.
# Behaviour: get_frequency_domain_features by the method `lomb` integrates astropy's periodogram, which is no density:
# its area is the variance times half of the heart rate in beats a second. The same rhythm has 186 at 50 beats a minute
# and 560 at 150, beside the method `welch`, which is right. A drug that slows the heart and changes nothing else seems
# to lower the power by as much.
# Expected: lf is the variance of the intervals in its band, as documented: 450 ms² for a rhythm of +-30 ms at 0.1 Hz.
# Seen: "+-30 ms at 0.1 Hz, lf by welch and by lomb: at 50 beats a minute 409, 186; at 75 431, 280; at 100 439, 373; at
# 150 445, 560"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 scipy==1.17.1 pandas==3.0.6 \
    astropy==7.2.3 matplotlib==3.11.2 future==1.0.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps hrv-analysis==1.0.6 nolds==0.6.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

from hrvanalysis import get_frequency_domain_features


def rhythm(rate, seconds=300):
    """Return the intervals (ms) of a heart of this mean rate, which sways by 30 ms ten times in 100 s."""
    intervals, time = [], 0.0
    while time < seconds:
        intervals.append(60_000 / rate + 30 * math.sin(2 * math.pi * 0.1 * time))
        time += intervals[-1] / 1000
    return intervals


said = []
for rate in (50, 75, 100, 150):
    powers = [get_frequency_domain_features(rhythm(rate), method=method)["lf"] for method in ("welch", "lomb")]
    said.append(f"{rate} {powers[0]:.0f}, {powers[1]:.0f}")
line = f"+-30 ms at 0.1 Hz, lf by welch and by lomb: at {said[0].replace(' ', ' beats a minute ', 1)}"
line += "".join(f"; at {one}" for one in said[1:])
print(line)
expected = (
    "+-30 ms at 0.1 Hz, lf by welch and by lomb: at 50 beats a minute 409, 186; at 75 431, 280; at 100 439, 373; at "
    "150 445, 560"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
