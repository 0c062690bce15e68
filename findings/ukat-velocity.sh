#!/usr/bin/env bash
# ukat 0.7.3, numpy 1.26.4, scipy 1.11.4, scikit-image 0.21.0, scikit-learn 1.2.2, dipy 1.9.0, numba 0.60.0.
# renalsegmentor, a neural network that the package imports, is not installed: nothing here calls it.
# Behaviour: convert_to_velocity multiplies the phase in radians by the velocity encoding: a phase of pi at an encoding
# of 100 cm/s is 314 cm/s. Integers are first stretched from their least to their greatest over -pi to pi, so that a
# resting vessel moves. And PhaseContrast drops the sign: blood that flows back counts as flowing forward, and the
# resistive index of an artery with reversed flow, above 1 by its definition, is below 1.
# Expected: 100 cm/s (the encoding is the velocity whose phase is pi), a net flow of 825 ml/min, an index of 1.25.
# Seen: "phase of pi at 100 cm/s: 314; stored -500, 0, 1500 of 4096: -314, -157, 314 for -12, 0, 37; mean velocities 40,
# 20, -10, 5 cm/s in 1 cm2: 1125 ml/min for 825, resistive index 0.875 for 1.25"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 scipy==1.11.4 scikit-image==0.21.0 \
    scikit-learn==1.2.2 nibabel==5.3.2 dipy==1.9.0 pandas==2.2.3 matplotlib==3.9.4 tabulate==0.9.0 numba==0.60.0 \
    pathos==0.3.5 tqdm==4.67.1
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps ukat==0.7.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import types

sys.modules["segment"] = types.SimpleNamespace(Tkv=None)  # the neural network

import numpy as np
from ukat.vessels.phase_contrast import PhaseContrast, convert_to_velocity

radians = convert_to_velocity(np.array([[-np.pi, 0, np.pi]]), 100)[0, 2]
stored = convert_to_velocity(np.array([[-500, 0, 1500]]), 100)[0]
right = np.array([-500, 0, 1500]) / 4096 * 100

mean_velocity = np.array([40.0, 20.0, -10.0, 5.0])  # cm/s, over a heartbeat
vessel = PhaseContrast(np.tile(mean_velocity, (10, 10, 1)), np.eye(4), np.ones((10, 10, 4), bool))
index = (mean_velocity.max() - mean_velocity.min()) / mean_velocity.max()
line = (
    f"phase of pi at 100 cm/s: {radians:.0f}; stored -500, 0, 1500 of 4096: {', '.join(f'{v:.0f}' for v in stored)} "
    f"for {', '.join(f'{v:.0f}' for v in right)}; mean velocities 40, 20, -10, 5 cm/s in 1 cm2: "
    f"{vessel.mean_rbf:.0f} ml/min for {60 * mean_velocity.mean():.0f}, "
    f"resistive index {vessel.resistive_index:.3f} for {index:.2f}"
)
print(line)
expected = (
    "phase of pi at 100 cm/s: 314; stored -500, 0, 1500 of 4096: -314, -157, 314 for -12, 0, 37; mean velocities 40, "
    "20, -10, 5 cm/s in 1 cm2: 1125 ml/min for 825, resistive index 0.875 for 1.25"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
