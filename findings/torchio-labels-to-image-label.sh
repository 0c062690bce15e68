#!/usr/bin/env bash
# torchio 1.2.1, SimpleITK 2.5.7, nibabel 5.4.2, torch 2.13.0, numpy 2.4.6, scipy 1.17.1.
# Behaviour: RandomLabelsToImage with used_labels makes an image of some labels, and writes -1 over all others in the
# subject's label map, which is what the network is to learn. The background is one of them. Nothing is said; without
# used_labels the label map stays.
# Expected: An intensity transform makes an image and leaves the label map as it is.
# Seen: "voxels of each label: {0: 300, 1: 300, 2: 200, 3: 200}; after an image of label 1 was made: {-1: 700, 1: 300}"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchio==1.2.1 SimpleITK==2.5.7 nibabel==5.4.2 \
    numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
import torchio as tio

labels = torch.zeros(1, 10, 10, 10, dtype=torch.int16)
labels[0, 2:5], labels[0, 5:7], labels[0, 7:9] = 1, 2, 3


def after(**options):
    """Return the number of voxels of each label once an image has been made of them."""
    torch.manual_seed(0)
    image, organs = tio.ScalarImage(tensor=torch.rand(1, 10, 10, 10)), tio.LabelMap(tensor=labels.clone())
    subject = tio.Subject(mri=image, organs=organs)
    made = tio.RandomLabelsToImage(label_key="organs", image_key="mri", **options)(subject)
    values, counts = made.organs.data.unique(return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


every, one = after(), after(used_labels=[1])
print(f"voxels of each label: {every}; after an image of label 1 was made: {one}")
sys.exit(every != {0: 300, 1: 300, 2: 200, 3: 200} or one != {-1: 700, 1: 300})
PYTHON
