#!/usr/bin/env bash
# confidenceinterval 1.0.5, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: the confidence_level of classification_report_with_ci reaches the F1 score of each class alone. Precision
# and recall, and all micro and macro averages, are given at 95 % whatever is asked for, in the same table and under the
# same headings. A class that the model names but no patient has is left out of the table.
# Expected: every interval at the level asked for, as precision_score, recall_score and f1_score give it.
# Seen: "width at 99.9 % over width at 95 %: F1 of a class 1.68, its precision 1.00, its recall 1.00, macro F1 1.00,
# micro recall 1.00; recall_score by itself 1.68"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check confidenceinterval==1.0.5 scikit-learn==1.9.1 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from confidenceinterval import classification_report_with_ci, recall_score

random = np.random.default_rng(0)
truth = np.repeat([0, 1, 2], 100)
answers = truth.copy()
wrong = random.random(300) < 0.3
answers[wrong] = random.integers(0, 3, wrong.sum())
usual, sure = (
    classification_report_with_ci(truth, answers, round_ndigits=6, confidence_level=level).set_index("Class")
    for level in (0.95, 0.999)
)


def ratio(row, column):
    (low, high), (lowest, highest) = usual.loc[row, f"{column} CI"], sure.loc[row, f"{column} CI"]
    return round(float((highest - lowest) / (high - low)), 2)


places = {
    "F1 of a class": ("Class 0", "F1-Score"),
    "its precision": ("Class 0", "Precision"),
    "its recall": ("Class 0", "Recall"),
    "macro F1": ("macro", "F1-Score"),
    "micro recall": ("micro", "Recall"),
}
seen = {name: ratio(*place) for name, place in places.items()}
(_, usual_ci), (_, sure_ci) = (recall_score(truth, answers, confidence_level=level) for level in (0.95, 0.999))
alone = round(float(np.ptp(sure_ci) / np.ptp(usual_ci)), 2)
print(
    "width at 99.9 % over width at 95 %: "
    + ", ".join(f"{name} {value:.2f}" for name, value in seen.items())
    + f"; recall_score by itself {alone:.2f}"
)
first, *rest = seen.values()
sys.exit(not (first == alone == 1.68 and set(rest) == {1.0}))
PYTHON
