#!/usr/bin/env bash
# BayesCCal 0.1.1, scipy 1.17.1, numpy 2.4.6.
# Behaviour: the densities of scores of the ill and of the healthy are differences of sums that begin behind the first
# of 1000 bins: scores below 0.001 are in no density. Of a network that is sure of most healthy patients only those it
# is unsure of are left, spread over all scores, and their density there is far too high: the share of the ill in a
# hospital where it is 19 % is estimated as 0 %, and everybody has a risk of 0. Scores at the upper end are counted.
# Expected: 19 %, which the very same scores give with all of them counted, and which a less sure network gives.
# Seen: "share of the ill, 0.19 in truth: 0.000 by a network sure of the healthy, 0.185 by the same scores in ten bins
# with all counted, 0.189 by a network less sure; largest risk of 2000 patients 0.000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check BayesCCal==0.1.1 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from BayesCCal import calibrator_binary
from scipy.optimize import minimize_scalar


class Network:
    """A network that has been trained: its inputs are its own scores."""

    def fit(self, scores, labels):
        return self

    def predict_proba(self, scores):
        return np.column_stack([1 - scores[:, 0], scores[:, 0]])


def patients(count, share, size, seed):
    """Return scores (count, 1) and labels (count,), of logits about plus and minus size."""
    random = np.random.default_rng(seed)
    labels = random.random(count) < share
    logits = random.normal(np.where(labels, size, -size), 0.7 * size)
    return 1 / (1 + np.exp(-logits))[:, None], labels


def by_bins(scores, labels, others):
    """Return the most likely share of the ill among others, by a plain histogram of ten bins."""
    ill, well, seen = (np.histogram(s, 10, (0, 1))[0] for s in (scores[labels], scores[~labels], others))
    ill, well = ill / ill.sum(), well / well.sum()
    return minimize_scalar(lambda p: -np.sum(seen * np.log(p * ill + (1 - p) * well)), bounds=(0, 1)).x


scores, labels = patients(4000, 0.5, 25, 0)
others, truth = patients(2000, 0.2, 25, 1)
sure = calibrator_binary(Network()).fit(scores, labels)
share, largest = sure.getProportion(others), sure.predict_proba(others)[:, 1].max()
right = by_bins(scores, labels, others)
unsure = calibrator_binary(Network()).fit(*patients(4000, 0.5, 3, 0)).getProportion(patients(2000, 0.2, 3, 1)[0])
print(
    f"share of the ill, {truth.mean():.2f} in truth: {share:.3f} by a network sure of the healthy, {right:.3f} by the "
    f"same scores in ten bins with all counted, {unsure:.3f} by a network less sure; "
    f"largest risk of 2000 patients {largest:.3f}"
)
sys.exit(not (share < 0.02 and abs(right - truth.mean()) < 0.03 and abs(unsure - 0.2) < 0.03))
PYTHON
