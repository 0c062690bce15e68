#!/usr/bin/env bash
# torchio 1.2.1, SimpleITK 2.5.7, nibabel 5.4.2, torch 2.13.0, numpy 2.4.6, scipy 1.17.1.
# Behaviour: The masks "Left", "Right", "Anterior" and so on take the first or last half of the voxels, whatever the
# affine says: an image whose voxels run from right to left, as DICOM's do, keeps its right half where the left one is
# asked for. RandomFlip of the same library reads such names by the affine.
# Expected: The half on the patient's left ("an anatomical label which specifies a side", its documentation).
# Seen: "the middle of the left half of an image stored as RAS lies at x -2.5 mm, as LPS at 2.5 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchio==1.2.1 SimpleITK==2.5.7 nibabel==5.4.2 \
    numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch
import torchio as tio

kept = {}
for name, signs in {"RAS": [1, 1, 1], "LPS": [-1, -1, 1]}.items():
    affine = np.diag([*signs, 1.0])
    affine[:3, 3] = -4.5 * np.array(signs)  # the patient's middle is at 0, x grows to his right
    image = tio.ScalarImage(tensor=torch.ones(1, 10, 10, 10), affine=affine)
    assert image.orientation_str == name
    left = np.argwhere(tio.Mask("Left")(image).data[0].numpy())
    kept[name] = float((affine @ [*left.mean(axis=0), 1])[0])
print(f"the middle of the left half of an image stored as RAS lies at x {kept['RAS']} mm, as LPS at {kept['LPS']} mm")
sys.exit(kept != {"RAS": -2.5, "LPS": 2.5})
PYTHON
