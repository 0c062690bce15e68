#!/usr/bin/env bash
# staple 0.3.2, SimpleITK 2.5.0, numpy 1.26.4.
# Behaviour: masks of 0 and 255, as many tools store them, are taken as they are: the prior chance of a voxel to be in
# is the mean grey value, 49, and no voxel that anyone outlined counts as an outline of 1. The consensus is all that any
# reader outlined, and every reader has the same sensitivity. No word is said.
# Expected: what the same masks of 0 and 1 give, or an error: the method is for binary masks (Warfield et al., IEEE TMI
# 2004).
# Seen: "three readers outline 305 pixels each: consensus of masks of 1 305, of 255 381, where 381 are outlined by
# anyone; sensitivities 0.88, 1.00, 0.88 and 0.82, 0.82, 0.82"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.0 numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps staple==0.3.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from staple import STAPLE

rows, columns = np.mgrid[:40, :40]
outlines = [(rows - 20) ** 2 + (columns - 20 - shift) ** 2 < 100 for shift in (-2, 0, 2)]


def consensus(value):
    """Return how many pixels are in the consensus, and the readers' sensitivities, of masks of 0 and this value."""
    staple = STAPLE([(outline * value).astype(np.uint8) for outline in outlines])
    pixels = int((staple.run() > 0.5).sum())
    return pixels, [float(reader) for reader in staple.sensitivity.ravel()]


(ones, right), (bytes_, seen) = consensus(1), consensus(255)
anyone = int(np.any(outlines, axis=0).sum())
print(
    f"three readers outline 305 pixels each: consensus of masks of 1 {ones}, of 255 {bytes_}, where {anyone} are "
    f"outlined by anyone; sensitivities {', '.join(f'{reader:.2f}' for reader in right)} and "
    f"{', '.join(f'{reader:.2f}' for reader in seen)}"
)
sys.exit(not (ones == 305 and bytes_ == anyone == 381 and np.allclose(seen, seen[0])))
PYTHON
