#!/usr/bin/env bash
# mammoinsight-math 0.1.1, scikit-image 0.25.2, scipy 1.15.3, numpy 2.2.6.
# Behaviour: the spicules of a mass in a mammogram, a sign of cancer, are counted as the directions, of 180, whose
# peak is above the 75th percentile of the directions' own peaks. That is always a quarter of them: a round mass has
# 45 spicules, one with 3 or 12 has 45, and noise without a mass as well, and their density is 0.25. The other count,
# of the points where the outline turns by more than 30 degrees, takes each step from pixel to pixel: a round mass has
# 103, and twice as wide 231, more than one with three spicules.
# Expected: 0 of a round mass, whatever its size, and 3 and 12.
# Seen: "spicules by directions and by the outline: round mass 45 and 103, twice as wide 45 and 231, with 3 45 and
# 214, with 12 45 and 547; noise alone 45, a density of 0.25"
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
from mammo_math.features.advanced_features import convex_hull_features, radon_spicule_features

random = np.random.default_rng(0)
rows, columns = np.mgrid[:200, :200] - 100.0


def mass(radius, spicules=0):
    """Return the mask of a round mass with spicules that reach 75 pixels from its middle."""
    mask = np.hypot(rows, columns) < radius
    for turn in 2 * np.pi * np.arange(spicules) / max(spicules, 1) + 0.1:
        along = rows * np.sin(turn) + columns * np.cos(turn)
        across = columns * np.sin(turn) - rows * np.cos(turn)
        mask |= (along > 0) & (along < 75) & (abs(across) < 3)
    return mask.astype(np.uint8)


def count(mask):
    """Return the spicules by directions and by the outline's turns."""
    found = radon_spicule_features(50 + 100 * mask + random.normal(0, 5, mask.shape))
    return f"{found['n_spicules']} and {convex_hull_features(mask)['nspd']}"


noise = radon_spicule_features(random.normal(0, 5, rows.shape))
line = (
    f"spicules by directions and by the outline: round mass {count(mass(40))}, twice as wide {count(mass(80))}, "
    f"with 3 {count(mass(40, 3))}, with 12 {count(mass(40, 12))}; noise alone {noise['n_spicules']}, a density of "
    f"{noise['spicule_density']:.2f}"
)
print(line)
expected = (
    "spicules by directions and by the outline: round mass 45 and 103, twice as wide 45 and 231, with 3 45 and 214, "
    "with 12 45 and 547; noise alone 45, a density of 0.25"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
