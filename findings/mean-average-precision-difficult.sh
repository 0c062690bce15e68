#!/usr/bin/env bash
# mean-average-precision 2024.1.5.0, pandas 2.3.3, numpy 2.4.6.
# Behaviour: a box on an object that is marked difficult is neither right nor wrong, but the object counts among those
# to be found. A detector without an error has an average precision of 0.5 where half of the objects are difficult.
# Expected: 1; the evaluation of PASCAL VOC, where the mark comes from, leaves difficult objects out of both.
# Seen: "a detector without an error: 1.0; with every second nodule difficult 0.5, and 0.5 where it draws no boxes on
# those"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check mean-average-precision==2024.1.5.0 pandas==2.3.3 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from mean_average_precision import MetricBuilder


def precision(difficult, found):
    """Return the mean average precision over ten images of two nodules each, the second of them difficult or not."""
    metric = MetricBuilder.build_evaluation_metric("map_2d", async_mode=False, num_classes=1)
    truth = np.array([[10, 10, 30, 30, 0, 0, 0], [100, 100, 130, 130, 0, difficult, 0]])
    boxes = np.array([[10, 10, 30, 30, 0, 0.9], [100, 100, 130, 130, 0, 0.8]])
    for _ in range(10):
        metric.add(boxes[:found], truth)
    return float(metric.value(iou_thresholds=0.5)["mAP"])


plain, difficult, without = precision(0, 2), precision(1, 2), precision(1, 1)
print(
    f"a detector without an error: {plain:.1f}; with every second nodule difficult {difficult:.1f}, and {without:.1f} where "
    "it draws no boxes on those"
)
sys.exit(not (plain == 1 and difficult == without == 0.5))
PYTHON
