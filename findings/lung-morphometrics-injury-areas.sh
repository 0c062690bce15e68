#!/usr/bin/env bash
# python-lung-morphometrics 0.4.0, tifffile 2026.3.3, scikit-image 0.25.2, numpy 2.2.6.
# Behaviour: do_kmeans_cluster_image divides a stained lung into unaffected, somewhat affected and affected tissue and
# gives the area of each. It has one map of zeros and ones for each class, and counts the pixels of all maps that
# equal the number of the class: class 1 has all pixels once, class 0 the rest, and class 2 none. The areas do not
# depend on the lung, but on how classes happen to be numbered: one of which a tenth is affected is affected to 67 %,
# and one of which eight tenths are, to 0 %. The maps themselves, returned beside the table, are right.
# Expected: the shares of the maps: 80, 10 and 10 %, and 10, 10 and 80 %.
# Seen: "areas in % of unaffected, somewhat affected and affected tissue, and of the maps: of 80, 10 and 10 % 33 0 67
# (80 10 10); of 10, 10 and 80 % 67 33 0 (10 10 80); of 10, 80 and 10 % 67 0 33 (10 80 10)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps python-lung-morphometrics==0.4.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check tifffile==2026.3.3 scikit-image==0.25.2 \
    scikit-learn==1.7.2 skops==0.13.0 imageio==2.37.3 pandas==2.3.3 matplotlib==3.10.9 joblib==1.6.0 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import tifffile
from python_lung_morphometrics import do_kmeans_cluster_image
from skimage.color import lab2rgb

STAINS = (15, -8), (29, -19), (42, -29)  # the colours (a, b) that the library names for the three classes


def areas(*columns):
    """Return the areas in % of unaffected, somewhat affected and affected tissue, and those of the maps, sorted."""
    lung = np.zeros((300, 300, 3))
    lung[..., 0] = 80 + np.random.default_rng(0).normal(0, 3, (300, 300))
    lung[..., 1:] = np.repeat(STAINS, columns, axis=0)
    pixels = (255 * lab2rgb(lung)).round().astype(np.uint8)
    tifffile.imwrite("lung.tif", pixels, resolution=(10000, 10000), photometric="rgb")
    maps, table = do_kmeans_cluster_image(
        "lung.tif", n_clusters=3, channel_axis=2, save_fig=False, save_table=False, save_dir="out"
    )
    found = [table[f"{name} area (% of lung)"].item() for name in ("Unaffected", "Somewhat affected", "Affected")]
    return " ".join(f"{x:.0f}" for x in found) + " (" + " ".join(f"{100 * x:.0f}" for x in maps.mean((0, 1))) + ")"


line = (
    f"areas in % of unaffected, somewhat affected and affected tissue, and of the maps: of 80, 10 and 10 % "
    f"{areas(240, 30, 30)}; of 10, 10 and 80 % {areas(30, 30, 240)}; of 10, 80 and 10 % {areas(30, 240, 30)}"
)
print(line)
expected = (
    "areas in % of unaffected, somewhat affected and affected tissue, and of the maps: of 80, 10 and 10 % 33 0 67 "
    "(80 10 10); of 10, 10 and 80 % 67 33 0 (10 10 80); of 10, 80 and 10 % 67 0 33 (10 80 10)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
