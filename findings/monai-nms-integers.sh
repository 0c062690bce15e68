#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: non_max_suppression turns the scores into the type of the boxes: where boxes are whole pixels, as
# annotation files and masks give them, every score below 1 is 0, and of boxes around one lesion the one that is listed
# first is kept, whatever its score is. With max_proposals=1 it is the answer.
# Expected: "This function keeps boxes with higher scores", as it does for the same boxes as floats, and as batched_nms
# does for integers.
# Seen: "scores 0.2 and 0.9 around one lesion, 0.8 around another: kept [0.2, 0.8] of whole pixels, [0.9, 0.8] of the
# same boxes as floats, [0.9, 0.8] by batched_nms; the best one is [0.2] and [0.9]"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch
from monai.data.box_utils import batched_nms, non_max_suppression

boxes = np.array([[10, 10, 30, 30], [11, 11, 31, 31], [50, 50, 60, 60]])  # two around one lesion, and another lesion
scores = np.array([0.2, 0.9, 0.8])


def kept(places):
    """Return the scores of the boxes that stay."""
    return scores[np.asarray(places)].tolist()


whole, floats = (kept(non_max_suppression(these, scores, 0.3)) for these in (boxes, boxes.astype(float)))
one = [kept(non_max_suppression(these, scores, 0.3, max_proposals=1)) for these in (boxes, boxes.astype(float))]
batched = kept(batched_nms(torch.tensor(boxes), torch.tensor(scores), torch.zeros(3), 0.3))
print(
    f"scores 0.2 and 0.9 around one lesion, 0.8 around another: kept {whole} of whole pixels, {floats} of the same "
    f"boxes as floats, {batched} by batched_nms; the best one is {one[0]} and {one[1]}"
)
sys.exit(not (whole == [0.2, 0.8] and floats == batched == [0.9, 0.8] and one == [[0.2], [0.9]]))
PYTHON
