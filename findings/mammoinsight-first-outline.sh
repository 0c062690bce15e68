#!/usr/bin/env bash
# mammoinsight-math 0.1.1, opencv-python-headless 4.12.0.88, numpy 2.2.6.
# Behaviour: LesionGeometry measures the first outline that OpenCV finds in a mask, which is the lowest in the image,
# not the largest: of a mass of 80 pixels with a speck of three pixels below it, as thresholds leave them, the
# diameter is 2, of the speck, and the circularity 0. A speck above it changes nothing.
# Expected: 78 and 0.91, of the mass, as extract_feature_vector of the same library takes the largest outline.
# Seen: "diameter and circularity (and area) of a mass 78, 0.91 (by its vector 4900); with a speck above 78, 0.91 (by
# its vector 4900); below 2, 0.00 (by its vector 4900)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps mammoinsight-math==0.1.1
"$place/env/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.12.0.88 \
    scikit-image==0.25.2 scikit-learn==1.7.2 scipy==1.15.3 networkx==3.4.2 matplotlib==3.10.9 pandas==2.3.3 \
    requests==2.32.5 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from mammo_math.core.geometric import LesionGeometry
from mammo_math.features.extractor import extract_feature_vector

rows, columns = np.mgrid[:200, :200] - 100.0


def measured(speck):
    """Return the diameter and circularity of a round mass with a speck of three pixels in a row, or without."""
    mask = (np.hypot(rows, columns) < 40).astype(np.uint8) * 255
    if speck is not None:
        mask[speck, 100:103] = 255
    shape = LesionGeometry(mask)
    area = extract_feature_vector(mask, mask)[0]
    return f"{shape.calcular_diametro_feret():.0f}, {shape.calcular_circularidad():.2f} (by its vector {area:.0f})"


line = (
    f"diameter and circularity (and area) of a mass {measured(None)}; with a speck above {measured(20)}; below "
    f"{measured(180)}"
)
print(line)
expected = (
    "diameter and circularity (and area) of a mass 78, 0.91 (by its vector 4900); with a speck above 78, 0.91 (by its "
    "vector 4900); below 2, 0.00 (by its vector 4900)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
