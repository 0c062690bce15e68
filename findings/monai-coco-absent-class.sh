#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: COCOMetric notes -1 as the average precision of a class of which no lesion is in the images, as COCO does,
# and then, as COCO does not, takes it into the mean over the classes. A detector without one error on
# images that show one of two classes has the mean 0, and one that finds nothing -0.5: a mean that a hospital without the
# rare class lowers by what the class would have had, and 1 more.
# Expected: the mean over the classes that occur: 1 and 0.
# Seen: "no error: of the class that occurs 1.00, mean 0.00; nothing found: of the class that occurs 0.00, mean -0.50"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - 2>"$place/said" <<'PYTHON'
import sys

import numpy as np
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou

LESION = np.array([[0.0, 0, 10, 10]])


def precision(boxes, scores):
    """Return the average precision of the class that occurs, and of the mean, at an overlap of 0.1."""
    metric = COCOMetric(classes=["common", "rare"], iou_list=[0.1], max_detection=[100])
    matched = matching_batch(
        iou_fn=box_iou,
        iou_thresholds=metric.iou_thresholds,
        pred_boxes=[boxes],
        pred_classes=[np.zeros(len(boxes), int)],
        pred_scores=[scores],
        gt_boxes=[LESION],
        gt_classes=[np.zeros(1, int)],
    )
    values, _ = metric(matched)
    return [round(values[name], 6) + 0.0 for name in ("common_AP_IoU_0.10_MaxDet_100", "AP_IoU_0.10_MaxDet_100")]


right = precision(LESION, np.array([0.9]))
nothing = precision(np.zeros((0, 4)), np.zeros(0))
print(
    f"no error: of the class that occurs {right[0]:.2f}, mean {right[1]:.2f}; "
    f"nothing found: of the class that occurs {nothing[0]:.2f}, mean {nothing[1]:.2f}"
)
sys.exit(not np.allclose([*right, *nothing], [1, 0, 0, -0.5]))
PYTHON
