#!/usr/bin/env bash
# QbiPy 1.3.8, scipy 1.17.1, numpy 2.4.6.
# Behaviour: the concentration of contrast agent by the extended Tofts model has a second way of folding,
# `use_exp_conv`, said to need no interpolation. It folds with kep exp(-kep t) where the first folds with exp(-kep t),
# and both are multiplied by Ktrans: all that has left the vessels is kep times as much, kep in 1/min. It is right where
# kep happens to be 1.
# Expected: the same concentrations by both ways up to the error of their steps: for a constant supply of 1 mM, ve (1 -
# exp(-kep t)) mM.
# Seen: "mM after 5 minutes, the same with use_exp_conv, and the truth: Ktrans 0.25/min and ve 0.10 0.100, 0.250
# (0.100); 0.10 and 0.10 0.099, 0.099 (0.099); 0.05 and 0.40 0.186, 0.023 (0.186)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps QbiPy==1.3.8 GitPython==3.2.1 gitdb==4.0.12 \
    smmap==5.0.3 scipy==1.17.1 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io
import sys

import numpy as np
from QbiPy.dce_models import dce_aif, tofts_model

minutes = np.linspace(0, 5, 501)
supply = dce_aif.Aif(times=minutes, base_aif=np.ones(501), aif_type=dce_aif.AifType.ARRAY)


def at_five_minutes(transfer, space):
    """Return the concentration in mM by both ways of folding, and the exact one."""
    with contextlib.redirect_stdout(io.StringIO()):
        stepwise, exact_steps = (
            tofts_model.concentration_from_model(supply, transfer, space, 0.0, 0.0, use_exp_conv=way)[0, -1]
            for way in (False, True)
        )
    truth = space * (1 - np.exp(-transfer / space * 5))
    return f"{stepwise:.3f}, {exact_steps:.3f} ({truth:.3f})"


line = (
    f"mM after 5 minutes, the same with use_exp_conv, and the truth: Ktrans 0.25/min and ve 0.10 "
    f"{at_five_minutes(0.25, 0.1)}; 0.10 and 0.10 {at_five_minutes(0.1, 0.1)}; 0.05 and 0.40 "
    f"{at_five_minutes(0.05, 0.4)}"
)
print(line)
expected = (
    "mM after 5 minutes, the same with use_exp_conv, and the truth: Ktrans 0.25/min and ve 0.10 0.100, 0.250 "
    "(0.100); 0.10 and 0.10 0.099, 0.099 (0.099); 0.05 and 0.40 0.186, 0.023 (0.186)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
