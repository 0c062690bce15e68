#!/usr/bin/env bash
# permute 0.2, scipy 1.17.1, cryptorandom 0.4, numpy 2.4.6.
# Behaviour: spearman_corr takes the order that sorts the values (argsort) for their ranks, which it is only by chance,
# or where the values are sorted already. Two readers whose measurements agree but for a tenth have a rank correlation
# of 0.38, with a p-value to match, and the same patients in another order have another one.
# Expected: the correlation of ranks, as scipy's spearmanr, in any order of patients.
# Seen: "two readers of 50 lesions: permute 0.38, scipy 0.99; the same lesions in another order: permute 0.07, scipy
# 0.99; sorted by size: permute 0.99"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check permute==0.2 cryptorandom==0.4 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from permute.core import spearman_corr
from scipy.stats import spearmanr

random = np.random.default_rng(0)
first = random.normal(size=50)
second = first + 0.1 * random.normal(size=50)
orders = [np.arange(50), random.permutation(50), np.argsort(first)]
theirs = [float(spearman_corr(first[order], second[order], reps=10, seed=0)[0]) for order in orders]
right = [float(spearmanr(first[order], second[order]).statistic) for order in orders]
print(
    f"two readers of 50 lesions: permute {theirs[0]:.2f}, scipy {right[0]:.2f}; the same lesions in another order: permute "
    f"{theirs[1]:.2f}, scipy {right[1]:.2f}; sorted by size: permute {theirs[2]:.2f}"
)
sys.exit(not (min(right) > 0.99 and theirs[0] < 0.8 and abs(theirs[0] - theirs[1]) > 0.1 and theirs[2] > 0.9))
PYTHON
