#!/usr/bin/env bash
# ornl-presto 0.1.29, torch 2.13.0, opacus 1.6.0, gpytorch 1.15.2, bayesian-optimization 3.4.0, seaborn 0.13.2,
# matplotlib 3.11.2, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: applyDPGaussian takes the root of the sensitivity with that of the logarithm, and leaves out the 2: the
# noise is too small by the root of 2 at a sensitivity of 1, and by 14 at one of 100. estimate_noise_scale of the same
# package has the right one.
# Expected: a standard deviation of sensitivity times the root of 2 ln(1.25 / delta), over epsilon (Dwork and Roth 2014,
# theorem A.1).
# Seen: "epsilon 1 asked for; sensitivity 1: noise 3.4, by its own estimate 4.8, spends 1.1; sensitivity 100: noise
# 34.2, by its own estimate 484.5, spends 16.1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 opacus==1.6.0 gpytorch==1.15.2 \
    bayesian-optimization==3.4.0 seaborn==0.13.2 matplotlib==3.11.2 scikit-learn==1.9.1 scipy==1.17.1 pandas==2.3.3 \
    numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps ornl-presto==0.1.29
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib
import numpy as np

matplotlib.use("agg")
from ornl_presto import applyDPGaussian
from ornl_presto.metrics import estimate_noise_scale
from scipy.optimize import brentq
from scipy.stats import norm

DELTA = 1e-5


def spent(sensitivity, deviation):
    """Return the epsilon of a Gaussian (Balle and Wang, ICML 2018, theorem 8)."""
    ratio = sensitivity / deviation

    def excess(epsilon):
        near, far = norm.cdf(ratio / 2 - epsilon / ratio), norm.cdf(-ratio / 2 - epsilon / ratio)
        return near - np.exp(epsilon) * far - DELTA

    return brentq(excess, 1e-6, 200)


np.random.seed(0)
seen, words = [], []
for sensitivity in (1, 100):
    noise = float(np.std(applyDPGaussian(np.zeros(200_000), sensitivity=sensitivity, epsilon=1.0, delta=DELTA)))
    own = estimate_noise_scale(sensitivity, 1.0, "gaussian", DELTA)
    seen.append(spent(sensitivity, noise))
    words.append(f"sensitivity {sensitivity}: noise {noise:.1f}, by its own estimate {own:.1f}, spends {seen[-1]:.1f}")
print(f"epsilon 1 asked for; {'; '.join(words)}")
sys.exit(not (seen[0] > 1.05 and seen[1] > 10))
PYTHON
