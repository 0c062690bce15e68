#!/usr/bin/env bash
# picai_eval 1.4.13, numpy 1.26.4, scikit-learn 1.5.2, scipy 1.13.1.
# Behaviour: the free-response curve of picai_eval takes the lowest confidence for the 0 of a missed lesion and leaves
# it out. Where no lesion is missed, real ones are left out: a detector that outlines each of ten lesions exactly, all
# with confidence 1 as a hard segmentation has it, has a sensitivity of 0 at one false positive a case, though its
# average precision and AUROC are 1. With ten different confidences it has 0.90, no more than a detector that misses one
# of the ten.
# Expected: a sensitivity of 1 for a detector without an error, whatever its confidences.
# Seen: "all at 1: sensitivity 0.00, AP 1.00, AUROC 1.00; all at other confidences: sensitivity 0.90, AP 1.00, AUROC
# 1.00; one missed: sensitivity 0.90, AP 0.90, AUROC 0.95"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check picai_eval==1.4.13 numpy==1.26.4 scikit-learn==1.5.2 \
    scipy==1.13.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from picai_eval import evaluate


def scans(confidences):
    """Ten scans with a lesion of 4x4x4 voxels, outlined exactly, and ten without any lesion."""
    truth = [np.zeros((10, 10, 10), int) for _ in range(20)]
    found = [np.zeros((10, 10, 10)) for _ in range(20)]
    for mask, outlined, confidence in zip(truth, found, confidences):
        mask[2:6, 2:6, 2:6] = 1
        outlined[2:6, 2:6, 2:6] = confidence
    return found, truth


seen = []
for name, confidences in (
    ("all at 1", [1.0] * 10),
    ("all at other confidences", np.linspace(0.5, 0.95, 10)),
    ("one missed", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]),
):
    result = evaluate(*scans(confidences), num_parallel_calls=1)
    seen.append(f"{name}: sensitivity {result.lesion_TPR_at_FPR(1):.2f}, AP {result.AP:.2f}, AUROC {result.auroc:.2f}")
line = "; ".join(seen)
print(line)
expected = (
    "all at 1: sensitivity 0.00, AP 1.00, AUROC 1.00; all at other confidences: sensitivity 0.90, AP 1.00, "
    "AUROC 1.00; one missed: sensitivity 0.90, AP 0.90, AUROC 0.95"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
