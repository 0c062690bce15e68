#!/usr/bin/env bash
# phys2denoise 0.5.0, physutils 0.3.0, scipy 1.17.1, pandas 2.3.3, numpy 1.26.4.
# Behaviour: apply_lags, which shifts a regressor by delays, does not shift it: it puts zeros in the place of as many
# values at its beginning and leaves the rest where it is. A breath at 20 s is at 20 s for delays of 0, 4 and 8 s, so
# that all columns say the same from then on, and a fit of several delays has no unique answer. A negative delay is
# refused by numpy.
# Expected: one at 20, 24 and 28 s, as its description says (shifted according to lags).
# Seen: "place in s of a breath at 20 s delayed by 0, 4 and 8 s: 20, 20, 20; correlation of the columns 1.00 (shifted
# -0.11)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check phys2denoise==0.5.0 physutils==0.3.0 scipy==1.17.1 \
    pandas==2.3.3 numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from phys2denoise.metrics.utils import apply_lags

breath = np.exp(-((np.arange(60) - 20) ** 2) / 8.0)  # one value a second
delayed = apply_lags(breath, (0, 4, 8))
places = ", ".join(str(place) for place in delayed.argmax(0))
line = (
    f"place in s of a breath at 20 s delayed by 0, 4 and 8 s: {places}; correlation of the columns "
    f"{np.corrcoef(delayed.T)[0, 2]:.2f} (shifted {np.corrcoef(breath, np.roll(breath, 8))[0, 1]:.2f})"
)
print(line)
expected = (
    "place in s of a breath at 20 s delayed by 0, 4 and 8 s: 20, 20, 20; correlation of the columns 1.00 (shifted"
    " -0.11)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
