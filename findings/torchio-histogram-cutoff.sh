#!/usr/bin/env bash
# torchio 1.2.1, SimpleITK 2.5.7, nibabel 5.4.2, torch 2.13.0, numpy 2.4.6, scipy 1.17.1.
# Behaviour: HistogramStandardization.train takes the quantiles between which landmarks are learnt, and the transform
# has no such argument: it lays landmarks of the quantiles 0.05 and 0.95 on the quantiles 0.01 and 0.99 of an image.
# What is bright, such as lesions, is squeezed.
# Expected: The quantiles pc1 and pc2 are the same in training and in transformation (Nyul and Udupa 1999): those of the
# image itself go to 0 and 100.
# Seen: "landmarks of (0.01, 0.99): these quantiles of the very image are at 0.0 and 100.0, the brightest hundredth
# begins at 100.0 for 100.0; landmarks of (0.05, 0.95): these quantiles of the very image are at 3.6 and 88.5, the
# brightest hundredth begins at 100.0 for 137.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchio==1.2.1 SimpleITK==2.5.7 nibabel==5.4.2 \
    numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import tempfile

import numpy as np
import torch
import torchio as tio

values = np.random.default_rng(0).gamma(4, 100, (40, 40, 40)).astype(np.float32)
seen = {}
with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/mri.nii.gz"
    tio.ScalarImage(tensor=torch.from_numpy(values)[None]).save(path)
    for cutoff in ((0.01, 0.99), (0.05, 0.95)):
        landmarks = tio.HistogramStandardization.train([path], cutoff=cutoff, progress=False)
        mapped = tio.HistogramStandardization({"mri": landmarks})(tio.Subject(mri=tio.ScalarImage(path))).mri.numpy()
        low, high = np.quantile(values, cutoff)
        bright = 100 * (np.quantile(values, 0.99) - low) / (high - low)
        seen[cutoff] = [round(float(value), 1) + 0.0 for value in (*np.quantile(mapped, (*cutoff, 0.99)), bright)]
print(
    "; ".join(
        f"landmarks of {cutoff}: these quantiles of the very image are at {low} and {high}, the brightest hundredth "
        f"begins at {found} for {right}"
        for cutoff, (low, high, found, right) in seen.items()
    )
)
sys.exit(seen[0.01, 0.99][:3] != [0, 100, 100] or not (seen[0.05, 0.95][1] < 90 and seen[0.05, 0.95][2] == 100))
PYTHON
