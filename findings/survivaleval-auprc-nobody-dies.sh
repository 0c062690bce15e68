#!/usr/bin/env bash
# SurvivalEVAL 0.9.0, pandas 2.3.3, scipy 1.17.1, numpy 2.4.6.
# Behaviour: auprc looks at predictions up to any multiple of a patient's time, and takes it that everybody has died
# beyond the last time of the curve, whatever its last value is: where half of the patients die within five years, a
# model that says of five years that nobody dies has a survival AUPRC of 0.72, more than the 0.59 of the curve that
# patients are drawn from, whose score is 0.54. Before the first time the curve's own first value is taken.
# Expected: the curve's own last value, as at the other end, or an error: a model is not to win by what it was not
# asked.
# Seen: "survival AUPRC of patients of whom half die within five years: nobody dies, to 5 years 0.72; the true curve, to
# 5 years 0.59; nobody dies, to 50 years 0.53; the true curve, to 50 years 0.54; the true curve by hand 0.54"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SurvivalEVAL==0.9.0 pandas==2.3.3 scipy==1.17.1 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from SurvivalEVAL.evaluations.others import auprc_right_censor

drawn = np.random.default_rng(0).exponential(5 / np.log(2), 4000)  # years; half of the patients die within five
died, times = drawn < 5, np.minimum(drawn, 5)


def risk(years):
    """Return the share that has died, of the distribution that patients are drawn from."""
    return -np.expm1(-years * np.log(2) / 5)


scores = {}
for last in (5, 50):
    grid = np.linspace(0, last, 501)
    for name, curve in (("nobody dies", np.zeros(501)), ("the true curve", risk(grid))):
        scores[name, last] = float(auprc_right_censor(np.tile(curve, (4000, 1)), grid, times, died))
t = (np.arange(256) + 0.5) / 256
by_hand = np.mean([(risk(y / t) if dead else 1) - risk(y * t) for y, dead in zip(times, died)])
print(
    "survival AUPRC of patients of whom half die within five years: "
    + "; ".join(f"{name}, to {last} years {score:.2f}" for (name, last), score in scores.items())
    + f"; the true curve by hand {by_hand:.2f}"
)
wins = scores["nobody dies", 5] > scores["the true curve", 5] + 0.1
sys.exit(not (wins and abs(scores["the true curve", 50] - by_hand) < 0.01))
PYTHON
