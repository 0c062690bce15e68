#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, nibabel 5.4.2, numpy 2.4.6.
# Behaviour: DatasetSummary squares voxels in the type that they have: in a CT of int16, as LoadImaged reads it with
# dtype=None, every square of more than 181 HU overflows. The standard deviation of tissue up to 200 HU is a fifth too
# small, and that of bone is NaN. Mean, least and greatest value are right, and nothing warns.
# Expected: the standard deviation, from which a normalisation is made; it is right for the same images as floats.
# Seen: "-150 to 200 HU: 81.7 as int16, 102.0 as float32, by NumPy 102.0; 350 to 450 HU: nan, 28.8, 28.8"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 nibabel==5.4.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

import nibabel as nib
import numpy as np
from monai.data import Dataset, DatasetSummary
from monai.transforms import LoadImaged

random = np.random.default_rng(0)


def deviations(least, greatest):
    """Return the standard deviation of values between these, by the summary of int16, of float32, and by NumPy."""
    values = random.integers(least, greatest, (16, 16, 16)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.eye(4)), "image.nii")
    nib.save(nib.Nifti1Image(np.ones_like(values), np.eye(4)), "label.nii")
    found = []
    for dtype in (None, np.float32):
        read = LoadImaged(["image", "label"], image_only=True, dtype=dtype)
        summary = DatasetSummary(Dataset([{"image": "image.nii", "label": "label.nii"}], read), num_workers=0)
        summary.calculate_statistics()
        found.append(summary.data_std)
    return [*found, float(values.std())]


tissue, bone = deviations(-150, 200), deviations(350, 450)
print(
    "-150 to 200 HU: {:.1f} as int16, {:.1f} as float32, by NumPy {:.1f}; ".format(*tissue)
    + "350 to 450 HU: {:.1f}, {:.1f}, {:.1f}".format(*bone)
)
right = all(abs(floats / true - 1) < 0.01 for _, floats, true in (tissue, bone))
sys.exit(not (tissue[0] < 0.9 * tissue[2] and np.isnan(bone[0]) and right))
PYTHON
