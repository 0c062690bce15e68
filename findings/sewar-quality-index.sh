#!/usr/bin/env bash
# sewar 0.4.10, numpy 1.26.4, scipy 1.17.1, Pillow 13.0.0.
# Behaviour: uqi takes means of a window for the sums that its formula asks for, 64 times too small each: what is left
# is a comparison of the brightness. Two images that have nothing to do with each other have 0.96, and an image and its
# negative 0.92.
# Expected: the universal image quality index of Wang and Bovik (IEEE Signal Processing Letters 2002, 9:81), of which
# the correlation is a factor: 0 and -1, as computed here from its equation 2.
# Seen: "the same image 1.00 (by the paper 1.00), another one 0.96 (-0.00), its negative 0.92 (-1.00), twice as bright
# 0.64 (0.64)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check sewar==0.4.10 numpy==1.26.4 scipy==1.17.1 Pillow==13.0.0
"$place/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sewar.full_ref import uqi


def by_the_paper(one, other, side=8):
    """Return the mean of the index over all windows."""
    first, second = (sliding_window_view(image, (side, side)).reshape(-1, side * side) for image in (one, other))
    means = first.mean(axis=1), second.mean(axis=1)
    spread = first.var(axis=1, ddof=1) + second.var(axis=1, ddof=1)
    together = ((first - means[0][:, None]) * (second - means[1][:, None])).sum(axis=1) / (side * side - 1)
    return (4 * together * means[0] * means[1] / (spread * (means[0] ** 2 + means[1] ** 2))).mean()


random = np.random.default_rng(0)
image, another = random.normal(100, 20, (2, 128, 128))
pairs = {"the same image": image, "another one": another, "its negative": 200 - image, "twice as bright": 2 * image}
said = [
    f"{name} {uqi(image, other):.2f} ({'by the paper ' if other is image else ''}{by_the_paper(image, other):.2f})"
    for name, other in pairs.items()
]
line = ", ".join(said)
print(line)
expected = (
    "the same image 1.00 (by the paper 1.00), another one 0.96 (-0.00), its negative 0.92 (-1.00), twice as bright "
    "0.64 (0.64)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
