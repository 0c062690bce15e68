#!/usr/bin/env bash
# MONAI 1.6.1 with scikit-image 0.26.0 and 0.25.2, torch 2.13.0, scipy 1.17.1.
# Behaviour: RemoveSmallObjects(min_size) is documented to remove objects smaller than min_size. With scikit-image
# 0.26.0 it also removes those of exactly that size: the deprecated min_size of remove_small_objects there removes what
# its own warning says that it keeps ("the previous parameter only removed smaller ones"). With by_measure a whole voxel
# more can be lost, since the size is first rounded up to whole voxels: a lesion of 64 mm3 goes where 60 mm3 is the
# least. MONAI allows both versions.
# Expected: objects of min_size and larger stay, with either version.
# Seen: "scikit-image 0.25.2: an object of 8 voxels of 8 mm3 stays at min_size=8, and at 60 mm3; 0.26.0: it is removed
# at both"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 scipy==1.17.1 numpy==2.4.6
for version in 0.25.2 0.26.0; do
    "$place/env/bin/pip" install --quiet --disable-pip-version-check "scikit-image==$version"
    "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import skimage
import torch
from monai.data import MetaTensor
from monai.transforms import RemoveSmallObjects

mask = torch.zeros(1, 10, 10, 10)
mask[0, 1:3, 1:3, 1:3] = 1
mask = MetaTensor(mask, affine=torch.diag(torch.tensor([2.0, 2.0, 2.0, 1.0])))
voxels = bool(RemoveSmallObjects(min_size=8)(mask).any())
least = bool(RemoveSmallObjects(min_size=60, by_measure=True)(mask).any())
smaller = bool(RemoveSmallObjects(min_size=9)(mask).any())
say = {True: "stays", False: "is removed"}
print(
    f"scikit-image {skimage.__version__}: an object of 8 voxels of 8 mm3 {say[voxels]} at min_size=8, {say[least]} at 60 mm3"
)
kept = skimage.__version__ == "0.25.2"
sys.exit((voxels, least, smaller) != (kept, kept, False))
PYTHON
done
