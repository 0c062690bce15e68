#!/usr/bin/env bash
# ukat 0.7.3, numpy 1.26.4, scipy 1.11.4, scikit-image 0.21.0, scikit-learn 1.2.2, dipy 1.9.0, numba 0.60.0.
# renalsegmentor, a neural network that the package imports, is not installed: nothing here calls it.
# Behaviour: B0 stretches the phase image of each echo from its own least to its own greatest value over -pi to pi
# unless it is in radians already. Phases stored as integers, as scanners store them, lose what they differ by between
# the echoes: a field from -10 to 50 Hz is 0 everywhere. The same phases in radians are right. Nothing warns.
# Expected: the same field, from integers whose full range is -4096 to 4095.
# Seen: "field of -10, 20, 50 Hz: -10, 20, 50 from radians; 0, 0, 0 from integers"
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
from ukat.mapping.b0 import B0

hertz = np.linspace(-10, 50, 31)[:, None] * np.ones(31)  # (rows, columns)
echoes = [4.0, 7.0]  # ms
radians = np.stack([2 * np.pi * hertz * echo / 1000 for echo in echoes], axis=-1)  # within -pi and pi
stored = np.round(radians / np.pi * 4096).astype(int)


def field(phases):
    found = B0(phases, echoes, np.eye(4)).b0_map
    return ", ".join(f"{round(float(found[row, 3])) + 0}" for row in (0, 15, 30))


line = f"field of -10, 20, 50 Hz: {field(radians)} from radians; {field(stored)} from integers"
print(line)
expected = "field of -10, 20, 50 Hz: -10, 20, 50 from radians; 0, 0, 0 from integers"
sys.exit(0 if line == expected else "this has changed")
PYTHON
