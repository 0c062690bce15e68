#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: compute_froc_curve_data leaves out the lowest score as a threshold. Where a lesion was missed that score is
# the 0 with which compute_fp_tp_probs notes it, and nothing is lost; where all were found it is that of a finding. A
# detector that finds the only lesion of a set, and nothing else, gets the FROC score 0; of two lesions it gets 0.5; of ten,
# 0.9. Beside a third lesion that is missed, the same two findings count as two.
# Expected: sensitivity 1 at no false positive, and a detector that misses a lesion below one that does not.
# Seen: "all found, no false positive: 1 lesion 0.00, 2 lesions 0.50, 10 lesions 0.90; 2 of 3 found 0.67"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from monai.metrics import compute_fp_tp_probs, compute_froc_curve_data, compute_froc_score

SIDE = 4


def score(lesions, found):
    """Return the FROC score of one image where that many lesions are hit, each once, and nothing else is."""
    mask = np.zeros((SIDE, SIDE * lesions), int)
    for number in range(lesions):
        mask[:, SIDE * number : SIDE * number + SIDE - 1] = number + 1
    hits = np.arange(found)
    false, true, count = compute_fp_tp_probs(
        probs=0.9 - 0.01 * hits, y_coord=np.ones(found, int), x_coord=SIDE * hits + 1, evaluation_mask=mask
    )
    return float(compute_froc_score(*compute_froc_curve_data(false, true, count, 1)))


scores = [score(1, 1), score(2, 2), score(10, 10), score(3, 2)]
print(
    "all found, no false positive: 1 lesion {:.2f}, 2 lesions {:.2f}, 10 lesions {:.2f}; 2 of 3 found {:.2f}".format(*scores)
)
sys.exit(not np.allclose(scores, [0, 0.5, 0.9, 2 / 3]))
PYTHON
