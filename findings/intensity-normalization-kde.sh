#!/usr/bin/env bash
# intensity-normalization 3.0.1, nibabel 5.4.2, scipy 1.17.1, numpy 2.4.6.
# Behaviour: KDENormalizer hands an 80th of the brightest value to scipy as the width of its kernel, and scipy
# multiplies that by the standard deviation of the image. The width grows with the square of the unit: the histogram of
# the same brain in larger numbers is smoothed to one hill, and "white matter" is where all tissues are heaped up. The
# scanner, a DICOM rescale, or a division by 1000 decides how bright white matter is afterwards. WhiteStripeNormalizer,
# which takes scipy's own width, does not depend on it.
# Expected: the same normalised image whatever the unit.
# Seen: "white matter at 1.000 times 1, 100, 1000: found at 0.995, 0.681, 0.681 times the unit, so that it is 1.01,
# 1.47, 1.47 afterwards; white stripe 0.995, 0.995, 0.995"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check intensity-normalization==3.0.1 nibabel==5.4.2 \
    scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from intensity_normalization.adapters.images import create_image
from intensity_normalization.normalizers.individual.kde import KDENormalizer
from intensity_normalization.normalizers.individual.whitestripe import WhiteStripeNormalizer

random = np.random.default_rng(0)
tissues = ((0.3, 3000), (0.6, 4000), (1.0, 5000))  # CSF, grey and white matter: level, voxels
brain = np.concatenate([random.normal(level, 0.03, voxels) for level, voxels in tissues]).reshape(20, 20, 30)
units = (1, 100, 1000)
found, stripe, after = [], [], []
for unit in units:
    image = create_image(brain * unit)
    fitted, other = KDENormalizer(), WhiteStripeNormalizer()
    fitted.fit(image)
    other.fit(image)
    found.append(fitted.tissue_mode / unit)
    stripe.append(other.mean / unit)
    after.append(float(np.median(fitted.transform(image).get_data().ravel()[7000:])))


def listed(values, digits=3):
    return ", ".join(f"{value:.{digits}f}" for value in values)


print(
    f"white matter at 1.000 times {', '.join(map(str, units))}: found at {listed(found)} times the unit, so that it is "
    f"{listed(after, 2)} afterwards; white stripe {listed(stripe)}"
)
sys.exit(not (abs(found[0] - 1) < 0.05 and max(found[1:]) < 0.8 and np.ptp(stripe) < 0.001))
PYTHON
