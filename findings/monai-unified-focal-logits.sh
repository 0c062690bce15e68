#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: The documentation of AsymmetricUnifiedFocalLoss asks for logits, "since it will be transformed by a sigmoid
# in the forward function". There is none: logits are cut to 0..1 as if they were probabilities. Where they lie outside,
# the gradient is 0, and a network that is wrong by 2 or by 4 at every pixel learns nothing; a logit of 0.5, a
# probability of 0.62, counts as one of 0.5.
# Expected: the sigmoid that is documented: the loss of logits is that of their probabilities, and a wrong logit has a
# gradient.
# Seen: "gradient of a network that is wrong everywhere by a logit of 0.5: 0.364, with a sigmoid 0.133; 2.0: 0.000, with
# a sigmoid 0.117; 4.0: 0.000, with a sigmoid 0.092"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import AsymmetricUnifiedFocalLoss

lesion = torch.zeros(1, 1, 32, 32)
lesion[..., 10:20, 10:20] = 1
seen = {}
for size in (0.5, 2.0, 4.0):
    wrong = (size * (1 - 2 * lesion)).requires_grad_(True)  # below 0 in the lesion, above 0 around it
    gradients = []
    for outputs in (wrong, torch.sigmoid(wrong)):
        loss = AsymmetricUnifiedFocalLoss()(outputs, lesion)
        (gradient,) = torch.autograd.grad(loss, wrong, retain_graph=True)
        gradients.append(float(gradient.abs().sum()))
    seen[size] = gradients
print(
    "gradient of a network that is wrong everywhere by a logit of "
    + "; ".join(f"{size:.1f}: {plain:.3f}, with a sigmoid {right:.3f}" for size, (plain, right) in seen.items())
)
sys.exit(
    not (seen[2.0][0] == seen[4.0][0] == 0 and min(right for _, right in seen.values()) > 0.01 and seen[0.5][0] > 0)
)
PYTHON
