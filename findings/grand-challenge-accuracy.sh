#!/usr/bin/env bash
# grand-challenge-metrics 0.6.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: accuracies_from_confusion_matrix divides to a whole number: the accuracy of a class is 1 where nothing is
# wrong and 0 otherwise, in an array of floats. The Jaccard index and Dice score next to it are not cut off.
# Expected: 0.925 for 185 of 200.
# Seen: "185 of 200 right: accuracy 0.000, Jaccard 0.857, Dice 0.923; all right: accuracy 1.000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check grand-challenge-metrics==0.6.0 scikit-learn==1.9.1 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from grand_challenge_metrics.stats import (
    accuracies_from_confusion_matrix,
    dice_from_confusion_matrix,
    jaccard_from_confusion_matrix,
)

counts = np.array([[90, 10], [5, 95]])
accuracy, jaccard, dice = (
    float(score(counts)[0])
    for score in (accuracies_from_confusion_matrix, jaccard_from_confusion_matrix, dice_from_confusion_matrix)
)
perfect = float(accuracies_from_confusion_matrix(np.diag([100, 100]))[0])
print(
    f"185 of 200 right: accuracy {accuracy:.3f}, Jaccard {jaccard:.3f}, Dice {dice:.3f}; all right: accuracy {perfect:.3f}"
)
sys.exit(not (accuracy == 0 and jaccard > 0.8 and dice > 0.9 and perfect == 1))
PYTHON
