#!/usr/bin/env bash
# menelaus 0.2.0, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: DDM is to alarm where the error rate and its deviation, p + s, pass those of the best time by three times
# the least deviation. It takes three times the present deviation; and that is no deviation of a rate: each patient's is
# made of the root of the last one. It is large after an error and small after a right answer, which then alarms. A
# network whose error rate does not change alarms over and over. EDDM computes its deviation in the same way.
# Expected: s = sqrt(p (1 - p) / n) and p_min + 3 s_min (Gama et al., SBIA 2004, section 3), as the docstring has it.
# Seen: "alarms among 2000 patients, error rate 0.1 throughout, five streams: 12, 6, 8, 10, 11; by the paper 0, 2, 1, 1,
# 1. Error rate 0.1, from patient 1000 on 0.3: first alarm at 547, 87, 229, 76, 258; by the paper 1100, 1249, 1082, 110,
# 1083"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 scipy==1.17.1 pandas==2.3.3 \
    numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps menelaus==0.2.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from math import inf, sqrt

import numpy as np
from menelaus.concept_drift import DDM


def theirs(errors):
    """Return the places of the alarms."""
    detector, alarms = DDM(), []
    for place, error in enumerate(errors):
        detector.update(y_true=0, y_pred=int(error))
        if detector.drift_state == "drift":
            alarms.append(place)
    return alarms


def by_the_paper(errors):
    """Return the places of the alarms of Gama's method, with the same 30 patients to begin with."""
    alarms, seen, rate, best = [], 0, 0.0, (inf, inf)
    for place, error in enumerate(errors):
        seen += 1
        rate += (error - rate) / seen
        deviation = sqrt(rate * (1 - rate) / seen)
        if seen < 30:
            continue
        best = min(best, (rate, deviation), key=sum)
        if rate + deviation >= best[0] + 3 * best[1]:
            alarms.append(place)
            seen, rate, best = 0, 0.0, (inf, inf)
    return alarms


counts, right_counts, first, right_first = [], [], [], []
for seed in range(5):
    random = np.random.default_rng(seed)
    same = random.random(2000) < 0.1
    worse = np.r_[random.random(1000) < 0.1, random.random(1000) < 0.3]
    counts.append(len(theirs(same)))
    right_counts.append(len(by_the_paper(same)))
    first.append(theirs(worse)[0])
    right_first.append(by_the_paper(worse)[0])


def listed(numbers):
    return ", ".join(map(str, numbers))


print(
    f"alarms among 2000 patients, error rate 0.1 throughout, five streams: {listed(counts)}; by the paper "
    f"{listed(right_counts)}. Error rate 0.1, from patient 1000 on 0.3: first alarm at {listed(first)}; by the paper "
    f"{listed(right_first)}"
)
early = max(first) < 1000 and sum(place > 1000 for place in right_first) == 4
sys.exit(not (min(counts) > 2 * max(right_counts) and early))
PYTHON
