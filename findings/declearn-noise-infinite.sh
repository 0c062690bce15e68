#!/usr/bin/env bash
# declearn 2.9.1, scipy 1.17.1, numpy 2.4.6.
# Behaviour: GaussianNoiseModule in its default, the safe mode, draws numbers from 0 to 1 of the operating system, turns
# them into the type of the gradient, and takes the normal quantile. In float32, the type of a network, the last 2^-25
# below 1 are rounded to 1, whose quantile is infinite: one gradient in 34 million, which is one or more in a quarter of
# the steps of a network with 11 million weights, as ResNet-18. One such step makes the weight infinite, and the model
# NaN. Without safe mode, and in float64, there is none. The reference says of safe mode that it is slower.
# Expected: finite noise.
# Seen: "a thousand noises, one of them drawn as 1 - 2^-27: infinite 1 in float32, 0 in float64, 0 without safe mode;
# the others' standard deviation 0.96; of 268 million numbers 9 are 1 in float32"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check declearn==2.9.1 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from random import SystemRandom

import numpy as np
from declearn.model.sklearn import NumpyVector
from declearn.optimizer.modules import GaussianNoiseModule


class Drawn(SystemRandom):
    """The operating system's numbers, of which one that it may draw, just below 1, comes first."""

    def __init__(self):
        self.first = [1 - 2.0**-27]

    def random(self):
        return self.first.pop() if self.first else super().random()


def noise(kind, safe):
    module = GaussianNoiseModule(std=1.0, safe_mode=safe, seed=0)
    if safe:
        module._rng = Drawn()
    return module.run(NumpyVector({"weight": np.zeros(1000, kind)})).coefs["weight"]


single, double, fast = noise(np.float32, True), noise(np.float64, True), noise(np.float32, False)
random = np.random.default_rng(0)
ones = sum(int((random.random(2**22).astype(np.float32) == 1).sum()) for _ in range(64))
print(
    f"a thousand noises, one of them drawn as 1 - 2^-27: infinite {np.isinf(single).sum()} in float32, "
    f"{np.isinf(double).sum()} in float64, {np.isinf(fast).sum()} without safe mode; the others' standard deviation "
    f"{single[np.isfinite(single)].std():.2f}; of {64 * 2**22 / 1e6:.0f} million numbers {ones} are 1 in float32"
)
sys.exit(not (np.isinf(single).sum() == 1 and np.isfinite(double).all() and np.isfinite(fast).all() and ones >= 1))
PYTHON
