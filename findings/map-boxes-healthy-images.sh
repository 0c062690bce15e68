#!/usr/bin/env bash
# map-boxes 1.0.6, pandas 2.3.3, numpy 2.0.2.
# Behaviour: boxes in images without an annotation are left out, also with exclude_not_in_annotations=False, its
# default: the images are gone through by the annotations. Boxes drawn on healthy images cost nothing.
# Expected: with the default they count as false positives, as the name and the documentation of the option say.
# Seen: "10 nodules found exactly, 990 surer boxes on healthy images: average precision 1.00, with
# exclude_not_in_annotations 1.00; with the healthy images named by an empty annotation 0.01"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check map-boxes==1.0.6 pandas==2.3.3 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON' | tail -n 1
import sys

import numpy as np
from map_boxes import mean_average_precision_for_boxes

box = [10, 30, 10, 30]  # x from and to, y from and to
truth = [[f"ill {image}", "nodule", *box] for image in range(10)]
boxes = [[f"ill {image}", "nodule", 0.8, *box] for image in range(10)]
boxes += [[f"healthy {image}", "nodule", 0.9, *box] for image in range(990)]
named = truth + [[f"healthy {image}", "nan", 0, 0, 0, 0] for image in range(990)]


def precision(annotations, **more):
    """Return the average precision at an overlap of a half."""
    seen = mean_average_precision_for_boxes(np.array(annotations), np.array(boxes), verbose=False, **more)
    return float(seen[1]["nodule"][0])


usual, left_out, right = precision(truth), precision(truth, exclude_not_in_annotations=True), precision(named)
print(
    f"10 nodules found exactly, 990 surer boxes on healthy images: average precision {usual:.2f}, with "
    f"exclude_not_in_annotations {left_out:.2f}; with the healthy images named by an empty annotation {right:.2f}"
)
sys.exit(not (usual == left_out == 1 and right < 0.02))
PYTHON
