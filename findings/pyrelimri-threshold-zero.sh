#!/usr/bin/env bash
# PyReliMRI 2.2.3, nilearn 0.12.1, nibabel 5.3.2, pandas 2.3.3, numpy 2.2.6.
# Behaviour: image_similarity keeps voxels above a threshold that is positive and below one that is negative. At a
# threshold of 0 it keeps all that are not 0, of either sign: two maps of the brain of which one is the other with its
# sign turned round overlap altogether, a Dice of 1.00, and two that have nothing to do with each other, too.
# Expected: voxels above 0, as at any threshold a little above it: 0.00, and 0.51.
# Seen: "Dice of a map and its negative at a threshold of 0: 1.00, of 0.001: 0.00; of two maps that have nothing to do
# with each other 1.00 and 0.51"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps pyrelimri==2.2.3
"$place/env/bin/pip" install --quiet --disable-pip-version-check nilearn==0.12.1 nibabel==5.3.2 pandas==2.3.3 \
    scikit-learn==1.7.2 scipy==1.15.3 hypothesis==6.140.2 statsmodels==0.14.5 numpy==2.2.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import nibabel
import numpy as np
from pyrelimri.similarity import image_similarity

random = np.random.default_rng(0)
first = random.normal(size=(20, 20, 20))
nibabel.save(nibabel.Nifti1Image(np.ones((20, 20, 20), np.uint8), np.eye(4)), "mask.nii")
for name, values in (("first", first), ("turned", -first), ("other", random.normal(size=first.shape))):
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), f"{name}.nii")


def dice(other, threshold):
    """Return the Dice of the first map and another one above a threshold."""
    return f"{image_similarity('first.nii', f'{other}.nii', mask='mask.nii', thresh=threshold):.2f}"


line = (
    f"Dice of a map and its negative at a threshold of 0: {dice('turned', 0)}, of 0.001: {dice('turned', 0.001)}; of "
    f"two maps that have nothing to do with each other {dice('other', 0)} and {dice('other', 0.001)}"
)
print(line)
expected = (
    "Dice of a map and its negative at a threshold of 0: 1.00, of 0.001: 0.00; of two maps that have nothing to do "
    "with each other 1.00 and 0.51"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
