#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0.
# Behaviour: GlobalMutualInformationLoss by its default kernel has all its bins between 0 and 1, which its page does not
# say, and looks at values, not ranks: an image in other units has nearly no information about itself. A registration of
# CT in Hounsfield units or of MR as stored is driven by a loss that is flat.
# Expected: about the same for an image in any unit, or an error for values beyond the bins.
# Seen: "an image and itself: 2.07 in 0..1, 0.037 in 0..255, 0.007 in 0..1000; and another: 0.017, 0.000, 0.000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import GlobalMutualInformationLoss

generator = torch.Generator().manual_seed(0)
one, other = (torch.rand(1, 1, 16, 16, 16, generator=generator) for _ in range(2))
loss, scales = GlobalMutualInformationLoss(), (1, 255, 1000)
itself = [-loss(one * scale, one * scale).item() for scale in scales]
another = [-loss(one * scale, other * scale).item() for scale in scales]
print(
    f"an image and itself: {itself[0]:.2f} in 0..1, {itself[1]:.3f} in 0..255, {itself[2]:.3f} in 0..1000; and another: "
    + ", ".join(f"{value:.3f}" for value in another)
)
sys.exit(not (itself[0] > 2 and itself[1] < 0.05 and itself[2] < 0.01))
PYTHON
