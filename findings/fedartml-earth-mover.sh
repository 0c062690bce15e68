#!/usr/bin/env bash
# FedArtML 0.1.34, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: earth_movers_distance, one of the three measures of how unlike hospitals are that come with every split,
# hands the shares of the labels to scipy's wasserstein_distance as values, not as weights: it compares the sorted
# shares. One hospital with the ill alone and one with the healthy alone are 0 apart, as two that are alike, and so are
# any two whose shares are the same in another order; the largest distance is that of one half and half from one with a
# single label. The reference calls its input the distribution of labels for each client.
# Expected: the most distance there is for two hospitals without a common label.
# Seen: "earth mover's distance of two hospitals (by weights; Hellinger, Jensen-Shannon): the ill and the healthy 0.00
# (1.00; 1.00, 1.00); 9 in 10 and 1 in 10 ill 0.00 (0.80; 0.63, 0.73); half and all ill 0.71 (0.50; 0.54, 0.56)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check FedArtML==0.1.34 scikit-learn==1.9.1 scipy==1.17.1 \
    pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from fedartml.function_base import earth_movers_distance, hellinger_distance, jensen_shannon_distance
from scipy.stats import wasserstein_distance

pairs = {
    "the ill and the healthy": [[1.0, 0.0], [0.0, 1.0]],
    "9 in 10 and 1 in 10 ill": [[0.9, 0.1], [0.1, 0.9]],
    "half and all ill": [[0.5, 0.5], [1.0, 0.0]],
}
seen = {
    name: [float(of(shares)) for of in (earth_movers_distance, hellinger_distance, jensen_shannon_distance)]
    for name, shares in pairs.items()
}
labels = np.arange(2)
right = {name: float(wasserstein_distance(labels, labels, *shares)) for name, shares in pairs.items()}
print(
    "earth mover's distance of two hospitals (by weights; Hellinger, Jensen-Shannon): "
    + "; ".join(
        f"{name} {seen[name][0]:.2f} ({right[name]:.2f}; {seen[name][1]:.2f}, {seen[name][2]:.2f})" for name in pairs
    )
)
apart, most, half = (seen[name] for name in pairs)
sys.exit(not (apart[0] == most[0] == 0 and half[0] > 0.5 and min(apart[1:]) > 0.99 and max(right.values()) == 1))
PYTHON
