#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: the kernel of MMDMetric is the plain product of two images, so that it sees their mean image and nothing
# else. A generator that draws the mean of all patients every time scores better than other real images do. The result
# is below zero as well, where the docstring says that it is a non-negative metric, and grows with the square of the
# unit.
# Expected: a kernel that tells distributions apart (Gretton et al., A Kernel Two-Sample Test, 2012, section 2.2: a
# universal kernel, such as the Gaussian one): with it the mean image is the farther one by far.
# Seen: "to 200 real images: 200 other real ones 9.69, the mean image every time -2.55, empty images 513.60; with a
# Gaussian kernel 0.004, 0.273, 0.472"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.metrics import MMDMetric

torch.manual_seed(0)
SIDE = 32


def patients(count):
    """Return images (count, 1, SIDE, SIDE) with one lesion each, at the left or at the right."""
    images = torch.zeros(count, 1, SIDE, SIDE)
    for image in images:
        column = 4 if torch.rand(1) < 0.5 else 20
        image[0, 12:20, column : column + 8] = 4
    return images


def gaussian(first, second):
    """Return the same estimate with a Gaussian kernel as wide as the median distance."""
    both = torch.cat([first, second]).flatten(1)
    apart = torch.cdist(both, both) ** 2
    kernel = torch.exp(-apart / (2 * apart[apart > 0].median()))
    n = len(first)
    within = sum((part.sum() - part.diagonal().sum()) / (n * (n - 1)) for part in (kernel[:n, :n], kernel[n:, n:]))
    return float(within - 2 * kernel[:n, n:].mean())


real, other = patients(200), patients(200)
drawn = [other, real.mean(0, keepdim=True).expand(200, -1, -1, -1), torch.zeros_like(real)]
seen = [float(MMDMetric()(real, images)) for images in drawn]
right = [gaussian(real, images) for images in drawn]
print(
    "to 200 real images: 200 other real ones {:.2f}, the mean image every time {:.2f}, empty images {:.2f}; ".format(*seen)
    + "with a Gaussian kernel {:.3f}, {:.3f}, {:.3f}".format(*right)
)
sys.exit(not (seen[1] < 0 and seen[1] < seen[0] < seen[2] and right[1] > 10 * abs(right[0]) > 0))
PYTHON
