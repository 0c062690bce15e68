#!/usr/bin/env bash
# radqy 2025.3.2, scikit-image 0.25.2, scipy 1.15.3, numpy 2.2.6.
# Behaviour: the peak signal-to-noise ratio of a scan compares the image with its median-filtered copy, to tell how
# noisy it is. The copy is divided by the maximum before, and the image is not: 1000 is set beside 1, and what is
# measured is how bright the image is on average. A scan without any noise has 3.2 dB, with noise of a fifth of the
# signal 6.9 dB: the noisier, the better.
# Expected: falls as noise is added, as the ratio of the image to its median-filtered copy in the same units does.
# Seen: "peak signal-to-noise ratio of a body of 1000 with noise of 1, 10, 50, 200: 3.2, 3.5, 4.4, 6.9 dB; in the same
# units 67.4, 47.7, 35.0, 26.4 dB"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps radqy==2025.3.2
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.25.2 SimpleITK==2.5.2 pydicom==3.0.2 \
    pandas==2.3.3 matplotlib==3.10.9 pyyaml==6.0.3 scipy==1.15.3 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from radqy.radqy import func6
from scipy.ndimage import median_filter

rows, columns = np.mgrid[:128, :128]
body = (rows - 64) ** 2 + (columns - 64) ** 2 < 50**2
noise = np.abs(np.random.default_rng(0).normal(size=body.shape))


def ratios(level):
    """Return the ratio in dB of a body of 1000 with noise of this level, by the library and in the same units."""
    image = np.where(body, 1000.0, 0) + level * noise
    part = image * body
    name, theirs = func6(part, image * ~body, body, image[body], image[~body])
    error = np.mean((part - median_filter(part, 5)) ** 2)
    return f"{theirs:.1f}", f"{20 * np.log10(part.max() / np.sqrt(error)):.1f}"


theirs, same = zip(*map(ratios, (1, 10, 50, 200)), strict=True)
line = (
    f"peak signal-to-noise ratio of a body of 1000 with noise of 1, 10, 50, 200: {', '.join(theirs)} dB; in the same "
    f"units {', '.join(same)} dB"
)
print(line)
expected = (
    "peak signal-to-noise ratio of a body of 1000 with noise of 1, 10, 50, 200: 3.2, 3.5, 4.4, 6.9 dB; in the same "
    "units 67.4, 47.7, 35.0, 26.4 dB"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
