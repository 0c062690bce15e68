#!/usr/bin/env bash
# iaa-kit 0.1.2, numpy 1.26.4.
# Behaviour: ac2, Gwet's weighted coefficient, is the weighted kappa under another name. The coefficient is asked for
# where nearly all patients have the same grade and kappa falls though readers agree: there ac2 falls with it.
# Expected: Gwet's AC2 (Gwet, Handbook of Inter-Rater Reliability, 2014, chapter 3), which stays near the agreement.
# Seen: "two readers who agree on 98 of 100 patients, all of grade 1: AC1 0.98, AC2 -0.01, weighted kappa -0.01; AC2 by
# its definition 0.98"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check iaa-kit==0.1.2 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from iaa_kit.cohen import weighted_kappa
from iaa_kit.gwet import ac1, ac2

first, second = [1] * 98 + [2, 1], [1] * 98 + [1, 3]
grades = (1, 2, 3)
agreement = 1 - np.abs(np.subtract.outer(grades, grades)) / 2  # linear weights
table = np.array([[sum(pair == (a, b) for pair in zip(first, second)) for b in grades] for a in grades]) / 100
share = (table.sum(0) + table.sum(1)) / 2
chance = agreement.sum() / (3 * 2) * (share * (1 - share)).sum()
right = ((agreement * table).sum() - chance) / (1 - chance)
seen, kappa = ac2(first, second), weighted_kappa(first, second)
print(
    f"two readers who agree on 98 of 100 patients, all of grade 1: AC1 {ac1(first, second):.2f}, AC2 {seen:.2f}, "
    f"weighted kappa {kappa:.2f}; AC2 by its definition {right:.2f}"
)
sys.exit(not (seen == kappa < 0.1 and right > 0.9))
PYTHON
