#!/usr/bin/env bash
# betacal 1.1.0, scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6.
# Behaviour: Fitting a calibration turns off all warnings of the whole program, for good: what comes after it, such as a
# model that has not converged or a division by 0, is no longer warned of, whichever library it is in.
# Expected: The warnings of the library's own fit are left out, if any, and those of others stay.
# Seen: "warnings of a model that has not converged and of a logarithm of 0: 2; after a fit of betacal: 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check betacal==1.1.0 scikit-learn==1.9.1 scipy==1.17.1 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import warnings

import numpy as np
from betacal import BetaCalibration
from sklearn.linear_model import LogisticRegression

warnings.resetwarnings()
warnings.simplefilter("default")
random = np.random.default_rng(0)
risk = random.beta(1, 3, 500)
ill = (random.random(500) < risk).astype(int)
values = random.normal(size=(500, 20)) * 1000


def warned():
    """Return how many warnings a model that stops after one step, and a logarithm of 0, give."""
    with warnings.catch_warnings(record=True) as seen:
        LogisticRegression(max_iter=1).fit(values, ill)
        np.log(np.zeros(1))
    return len(seen)


before = warned()
BetaCalibration("abm").fit(risk, ill)
after = warned()
print(f"warnings of a model that has not converged and of a logarithm of 0: {before}; after a fit of betacal: {after}")
sys.exit(before != 2 or after != 0)
PYTHON
