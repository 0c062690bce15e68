#!/usr/bin/env bash
# coco-froc-analysis 0.2.15, scipy 1.15.3, matplotlib 3.9.4, tqdm 4.67.1, numpy 1.26.4.
# Behaviour: lesions and boxes of an image are assigned to one another at the least cost, where a pair that does not
# overlap costs most. All pairs of the assignment count as hits, also those that cost most: each lesion of an image
# takes a box, wherever it lies, with and without a threshold of the overlap.
# Expected: a sensitivity of 0 for boxes in the opposite corner, and each of them a false positive.
# Seen: "sensitivity and false positives per image, by centre and by overlap: boxes at the nodules 1.0 and 0.5, 1.0 and
# 0.5; boxes in the opposite corner 1.0 and 0.5, 1.0 and 0.5"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check coco-froc-analysis==0.2.15 scipy==1.15.3 \
    matplotlib==3.9.4 tqdm==4.67.1 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib

matplotlib.use("agg")
from coco_froc_analysis.froc import froc_point

truth = {
    "images": [{"id": image} for image in range(20)],
    "categories": [{"id": 1, "name": "nodule"}],
    "annotations": [{"id": image, "image_id": image, "category_id": 1, "bbox": [10, 10, 20, 20]} for image in range(10)],
}


def point(box, use_iou):
    """Return the sensitivity and the false positives per image of a detector that draws one box in each image."""
    boxes = [{"image_id": image, "category_id": 1, "bbox": box, "score": 0.9} for image in range(20)]
    seen = froc_point(truth, boxes, 0.5, use_iou, 0.5)[1]
    return seen["LL"] / seen["n_lesions"], seen["NL"] / seen["n_images"]


right, corner = ([point(box, use_iou) for use_iou in (False, True)] for box in ([10, 10, 20, 20], [200, 200, 5, 5]))
word = "{0[0]:.1f} and {0[1]:.1f}"
print(
    f"sensitivity and false positives per image, by centre and by overlap: boxes at the nodules {word.format(right[0])}, "
    f"{word.format(right[1])}; boxes in the opposite corner {word.format(corner[0])}, {word.format(corner[1])}"
)
sys.exit(not (right == corner == [(1, 0.5), (1, 0.5)]))
PYTHON
