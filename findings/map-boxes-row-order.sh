#!/usr/bin/env bash
# map-boxes 1.0.6, pandas 2.3.3, numpy 2.0.2.
# Behaviour: the boxes of an image claim its findings in the order of their rows, not of their confidence. Where a box
# of low confidence is listed first, the sure one on the same finding counts as a false positive.
# Expected: the surest box claims the finding (PASCAL VOC, section 4.4), whatever the order of the rows.
# Seen: "average precision of a detector whose sure box is exact: 1.00 with it listed first, 0.50 with it listed last"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check map-boxes==1.0.6 pandas==2.3.3 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON' | tail -n 1
import sys

import numpy as np
from map_boxes import mean_average_precision_for_boxes

truth, sure, vague = [], [], []
for image in range(20):
    box = [10, 30, 10, 30]  # x from and to, y from and to
    truth.append([f"image {image}", "nodule", *box])
    sure.append([f"image {image}", "nodule", 0.9, *box])
    vague.append([f"image {image}", "nodule", 0.2, 12, 31, 12, 31])


def precision(rows):
    """Return the average precision at an overlap of a half."""
    return float(mean_average_precision_for_boxes(np.array(truth), np.array(rows), verbose=False)[0])


first, last = precision(sure + vague), precision(vague + sure)
print(
    f"average precision of a detector whose sure box is exact: {first:.2f} with it listed first, {last:.2f} with it "
    "listed last"
)
sys.exit(not (first == 1 and last <= 0.5))
PYTHON
