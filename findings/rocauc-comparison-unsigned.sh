#!/usr/bin/env bash
# rocauc_comparison 0.1.1, scipy 1.15.3, numpy 2.2.6.
# Behaviour: patients are put in order by the negative of their labels. Labels of unsigned integers, as a mask or a
# column of bytes has them, have none: the healthy come first, and as many of them as there are ill are taken for ill.
# Expected: the same AUC and p-value for the same labels, or an error.
# Seen: "AUC 0.77 by labels of int64, 0.44 by uint8; p-value of two models 4e-07 by int64, 0.1 by uint8"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check rocauc_comparison==0.1.1 scipy==1.15.3 numpy==2.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from rocauc_comparison import delong_roc_test, delong_roc_variance

random = np.random.default_rng(0)
labels = random.permutation(np.repeat([1, 0], [100, 400]))
good, poor = (strength * labels + random.normal(size=500) for strength in (1.2, 0.3))
seen = {}
for kind in (np.int64, np.uint8):
    written = labels.astype(kind)
    p_value = float(np.ravel(delong_roc_test(written, good, poor).p_value)[0])
    seen[kind.__name__] = float(delong_roc_variance(written, good)[0]), p_value
print(
    f"AUC {seen['int64'][0]:.2f} by labels of int64, {seen['uint8'][0]:.2f} by uint8; p-value of two models "
    f"{seen['int64'][1]:.0e} by int64, {seen['uint8'][1]:.1g} by uint8"
)
sys.exit(not (seen["int64"][0] > 0.75 and seen["uint8"][0] < 0.6 and seen["int64"][1] < 1e-3 < seen["uint8"][1]))
PYTHON
