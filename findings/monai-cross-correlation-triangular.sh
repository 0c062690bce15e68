#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: LocalNormalizedCrossCorrelationLoss with a triangular kernel of the default size 3 looks at one voxel: the
# kernel is 0, 1, 0. A voxel does not vary in itself, and the loss of two images that have nothing to do with each
# other, of an image and itself, and of an image moved by a voxel are all 0, without a gradient: a registration stays
# where it begins. A kernel of size 7 is one of size 5 with zeros around it.
# Expected: a triangle over three voxels, 1, 2, 1, which has -1 for an image and itself, as the rectangular and the
# Gaussian kernel have.
# Seen: "triangular of 3: an image and itself 0.00, moved by a pixel 0.00, another one 0.00, gradient 0.00000;
# triangular of 5: an image and itself -1.00, moved by a pixel -0.08, another one -0.10, gradient 0.00079; rectangular
# of 3: an image and itself -1.00, moved by a pixel -0.14, another one -0.16, gradient 0.00098; gaussian of 3: an image
# and itself -1.00, moved by a pixel -0.15, another one -0.16, gradient 0.00103; kernels [0.0, 1.0, 0.0] and [0.0, 0.11,
# 0.22, 0.33, 0.22, 0.11, 0.0]"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import LocalNormalizedCrossCorrelationLoss

generator = torch.Generator().manual_seed(0)
image, other = torch.rand(1, 1, 32, 32, generator=generator), torch.rand(1, 1, 32, 32, generator=generator)
seen = {}
for kind, size in (("triangular", 3), ("triangular", 5), ("rectangular", 3), ("gaussian", 3)):
    loss = LocalNormalizedCrossCorrelationLoss(spatial_dims=2, kernel_size=size, kernel_type=kind)
    moved = image.roll(1, 3).requires_grad_(True)
    value = loss(moved, image)
    (gradient,) = torch.autograd.grad(value, moved)
    values = [loss(image, image), value, loss(other, image), gradient.abs().mean()]
    seen[kind, size] = [round(float(value), 5) + 0.0 for value in values]
kernels = {
    size: LocalNormalizedCrossCorrelationLoss(kernel_size=size, kernel_type="triangular").kernel for size in (3, 7)
}
print(
    "; ".join(
        f"{kind} of {size}: an image and itself {same:.2f}, moved by a pixel {moved:.2f}, another one {apart:.2f}, "
        f"gradient {slope:.5f}"
        for (kind, size), (same, moved, apart, slope) in seen.items()
    )
    + f"; kernels {kernels[3].tolist()} and {[round(value, 2) for value in kernels[7].tolist()]}"
)
lost = all(abs(value) < 1e-3 for value in seen["triangular", 3])
sys.exit(not (lost and all(values[0] < -0.98 for key, values in seen.items() if key != ("triangular", 3))))
PYTHON
