#!/usr/bin/env bash
# dp-accelerator 0.1.0, numpy 1.26.4.
# Behaviour: the curve of Renyi privacy is that of the Gaussian without sampling times the square of the sampling rate,
# at every order; get_epsilon computes another, right one. Where the noise is small or the order high the curve lies far
# below what is spent, and who converts it to an epsilon gets a fraction of the one that the same object gives.
# Expected: the curve of the sampled Gaussian (Mironov et al., arXiv 1908.10530, section 3.3).
# Seen: "one step, rate 0.1, noise 0.5: of order 16 said 0.32, spent 29.54; epsilon at delta 1e-05 by the curve 1.0, by
# get_epsilon 7.4"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps dp-accelerator==0.1.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from math import comb, exp, log

from dp_accelerator import DPSGDAccountant

rate, noise, order = 0.1, 0.5, 16
accountant = DPSGDAccountant(noise, 1000, 10000)
curve = accountant.get_rdp_curve(1)
terms = (
    comb(order, k) * (1 - rate) ** (order - k) * rate**k * exp((k * k - k) / (2 * noise**2)) for k in range(order + 1)
)
right = log(sum(terms)) / (order - 1)
by_curve = min(value + log(1e5) / (alpha - 1) for alpha, value in curve.items())
epsilon = accountant.get_epsilon(1, 1e-5)
print(
    f"one step, rate 0.1, noise 0.5: of order {order} said {curve[order]:.2f}, spent {right:.2f}; epsilon at delta "
    f"1e-05 by the curve {by_curve:.1f}, by get_epsilon {epsilon:.1f}"
)
sys.exit(not (curve[order] < 1 and right > 25 and by_curve < 1.5 and epsilon > 6))
PYTHON
