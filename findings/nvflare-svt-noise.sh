#!/usr/bin/env bash
# nvflare 2.9.0, numpy 2.4.6.
# Behaviour: in the privacy filter SVTPrivacy noise_var is no variance: the noise is divided by it, so that a larger
# noise_var protects less. epsilon is not the budget of what is sent either: with the defaults (epsilon 0.1) a network
# of 100000 weights spends 1000.1, by the filter's own account, which it writes to the log only.
# Expected: more noise from a larger noise_var, and an expense of epsilon.
# Seen: "noise_var 0.1, 1, 10: standard deviation 28, 2.8, 0.28; epsilon 0.1 on 100000 weights spends 1000.1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nvflare==2.9.0 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.filters.svt_privacy import SVTPrivacy


def sent(filtering, weights):
    return filtering.process_dxo(DXO(DataKind.WEIGHT_DIFF, {"w": weights}), Shareable(), FLContext()).data["w"]


def deviation(noise_var):
    """Return the noise of a filter that selects every weight and clips none."""
    np.random.seed(0)
    everything = SVTPrivacy(fraction=1.0, epsilon=1e6, noise_var=noise_var, gamma=1.0, replace=False)
    return float(sent(everything, np.full(20000, 0.5)).std())


noise = [deviation(noise_var) for noise_var in (0.1, 1, 10)]
usual = SVTPrivacy()
sent(usual, np.full(100000, 1e-3))
spent = usual.get_privacy_spent()
print(
    f"noise_var 0.1, 1, 10: standard deviation {', '.join(f'{size:.2g}' for size in noise)}; "
    f"epsilon {usual.epsilon} on 100000 weights spends {spent:.1f}"
)
sys.exit(not (noise[0] > 5 * noise[1] > 25 * noise[2] and spent > 1000))
PYTHON
