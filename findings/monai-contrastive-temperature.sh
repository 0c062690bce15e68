#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: ContrastiveLoss divides similarities by the temperature and takes their exponentials as they are: at a
# temperature of 0.01, which CLIP and others end at, exp(100) is more than float32 holds, and the loss is NaN for every
# batch, by 0.02 right. In half precision it is NaN from 0.09 on.
# Expected: the loss by a logarithm of sums, as torch's cross_entropy of the same similarities has it: "temperature: can
# be scaled between 0 and 1".
# Seen: "temperature 0.1: 0.2507, by cross_entropy 0.2507; temperature 0.02: 0.1468, by cross_entropy 0.1468;
# temperature 0.01: nan, by cross_entropy 0.2615; in half precision at 0.09: nan"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import ContrastiveLoss
from torch.nn.functional import cross_entropy, normalize

generator = torch.Generator().manual_seed(0)
one = torch.randn(16, 8, generator=generator)
other = one + 0.5 * torch.randn(16, 8, generator=generator)
both = normalize(torch.cat([one, other]), dim=1)
partners = torch.cat([torch.arange(16, 32), torch.arange(16)])
seen = {}
for temperature in (0.1, 0.02, 0.01):
    similarities = (both @ both.T / temperature).fill_diagonal_(-torch.inf)
    seen[temperature] = float(ContrastiveLoss(temperature)(one, other)), float(cross_entropy(similarities, partners))
half = float(ContrastiveLoss(0.09)(one.half(), other.half()))
print(
    "; ".join(f"temperature {t}: {loss:.4f}, by cross_entropy {right:.4f}" for t, (loss, right) in seen.items())
    + f"; in half precision at 0.09: {half:.4f}"
)
same = all(abs(seen[t][0] - seen[t][1]) < 1e-4 for t in (0.1, 0.02))
sys.exit(not (same and seen[0.01][0] != seen[0.01][0] and seen[0.01][1] < 100 and half != half))
PYTHON
