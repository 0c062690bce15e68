#!/usr/bin/env bash
# torchio 1.2.1, SimpleITK 2.5.7, nibabel 5.4.2, torch 2.13.0, numpy 2.4.6, scipy 1.17.1.
# Behaviour: A subject's history is to repeat what was done with it. That of Mask keeps the name of the mask alone:
# outside_value is 0 again and labels are all, so that a CT masked to the lung with air around it has water around it
# when the history is applied, and other organs are left in it.
# Expected: The history, applied to the subject as it was, gives the masked image, as it does for other transforms.
# Seen: "voxels by HU: {-1000: 700, 40: 300}; by its history: {0: 400, 40: 600}"
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

organs = (torch.arange(10) % 3).reshape(1, 10, 1, 1).expand(1, 10, 10, 10).clone()
subject = tio.Subject(
    ct=tio.ScalarImage(tensor=torch.full((1, 10, 10, 10), 40.0)), organs=tio.LabelMap(tensor=organs)
)


def voxels(image):
    values, counts = image.data.unique(return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


masked = tio.Mask("organs", outside_value=-1000, labels=[1])(subject)
repeated = masked.get_composed_history()(subject)
first, second = voxels(masked.ct), voxels(repeated.ct)
print(f"voxels by HU: {first}; by its history: {second}")
sys.exit(first != {-1000: 700, 40: 300} or second != {0: 400, 40: 600})
PYTHON
