#!/usr/bin/env bash
# body-composition-analysis 0.2.1, SimpleITK 2.5.7, numpy 2.4.6, pandas 2.3.3. TotalSegmentator, which the package
# imports, is not installed: nothing here calls it.
# Behaviour: get_intensity_at_center_L3, the density of muscle and fat at the third lumbar vertebra, is the mean over
# all of the slice, with 0 outside of the tissue: muscle of 50 HU in a twentieth of the slice has 2.5 HU, and the same
# muscle in an image cut to half its size 10 HU. Fat of -100 HU is at -5 HU. The liver's density is taken within it.
# Expected: the mean within the tissue, 50 and -100 HU, as get_intensity of the same module has it.
# Seen: "muscle of 50 HU: 2.5 in 200 x 200 pixels, 10.0 in 100 x 100, 50.0 by get_intensity; fat of -100 HU: -5.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6 pandas==2.3.3
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps body-composition-analysis==0.2.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import types

sys.modules["totalsegmentator"] = types.ModuleType("totalsegmentator")
sys.modules["totalsegmentator.python_api"] = types.SimpleNamespace(totalsegmentator=None)

import numpy as np
from body_composition.utils.vol_and_int_extraction import get_intensity, get_intensity_at_center_L3


def scan(size, density):
    """Return planes of a CT in air, and a tissue of 2000 pixels in each."""
    tissue = np.zeros((5, size, size), np.uint8)
    tissue[:, 20:60, 20:70] = 1
    return np.where(tissue, density, -1000), tissue


def at_l3(size, density):
    values, tissue = scan(size, density)
    return f"{get_intensity_at_center_L3(ct_arr=values, roi_arr=tissue, l3_center=2)[0]:.1f}"


line = (
    f"muscle of 50 HU: {at_l3(200, 50)} in 200 x 200 pixels, {at_l3(100, 50)} in 100 x 100, "
    f"{get_intensity(*scan(200, 50))[0]:.1f} by get_intensity; fat of -100 HU: {at_l3(200, -100)}"
)
print(line)
expected = (
    "muscle of 50 HU: 2.5 in 200 x 200 pixels, 10.0 in 100 x 100, 50.0 by get_intensity; fat of -100 HU: -5.0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
