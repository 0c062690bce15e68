#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: SURELoss estimates the divergence of a network by random noise n, as the sum of all entries of the product
# of n transposed and the change of the output, where the estimate is the trace: each pixel's change is multiplied by
# the noise of all pixels of its column. What a network spreads along its rows is counted as divergence: that of a mean
# over rows of 64 pixels is 64 times what it is, that of a mean of 3 x 3 pixels three times. Where nothing is spread the
# mean is right, and it varies seven times as much.
# Expected: the divergence of Stein (1981), the sum of the derivatives of each output by its own input, by noise as in
# Ramani et al. (2008).
# Seen: "divergence of nothing: 4096, by SURELoss 4162 +- 739, by the trace 4101 +- 100; divergence of the mean of each
# row: 64, by SURELoss 4162 +- 739, by the trace 65 +- 12; divergence of a mean of 3 x 3: 455, by SURELoss 1367 +- 451,
# by the trace 461 +- 29"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import SURELoss
from torch.nn.functional import avg_pool2d

SIDE, EPS = 64, 0.01
networks = {
    "nothing": (lambda image: image, SIDE**2),
    "the mean of each row": (lambda image: image.mean(3, keepdim=True).expand_as(image), SIDE),
    "a mean of 3 x 3": (lambda image: avg_pool2d(image, 3, 1, 1), SIDE**2 / 9),
}
image = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
seen = {}
for name, (network, true) in networks.items():
    estimates = []
    for seed in range(100):
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        # a residual of 1 everywhere, so that the loss is the divergence over the number of pixels
        loss = float(SURELoss(perturb_noise=noise, eps=EPS)(network, image, network(image) + 1))
        trace = float((noise * (network(image + EPS * noise) - network(image))).sum() / EPS)
        estimates.append((loss * SIDE**2, trace))
    values = torch.tensor(estimates)
    seen[name] = (true, *values.mean(0).tolist(), *values.std(0).tolist())
print(
    "; ".join(
        "divergence of {}: {:.0f}, by SURELoss {:.0f} +- {:.0f}, by the trace {:.0f} +- {:.0f}".format(
            name, true, sure, sure_spread, trace, spread
        )
        for name, (true, sure, trace, sure_spread, spread) in seen.items()
    )
)
rows, small, plain = seen["the mean of each row"], seen["a mean of 3 x 3"], seen["nothing"]
right = all(abs(trace - true) < 0.05 * true for true, _, trace, _, _ in seen.values())
sys.exit(not (right and rows[1] > 50 * rows[0] and small[1] > 2.5 * small[0] and plain[3] > 5 * plain[4]))
PYTHON
