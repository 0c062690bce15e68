#!/usr/bin/env bash
# mircat-stats 1.0.0, SimpleITK 2.3.1, scikit-image 0.25.2, numpy 1.26.4.
# Behaviour: CT and its labels are resampled to 1 mm before anything is measured. What lies beyond the last slice is
# filled with the number of the pixel type, which is 1 for labels of 8 bits and 2 for a CT of 16. In slices of 2 mm
# and more the last slices of the result lie there: they are spleen, label 1, from edge to edge. A spleen of 100 cm³
# in an image of 40 x 40 cm has 260 cm³ in slices of 2 mm, and 420 in slices of 5 mm.
# Expected: 100 cm³, as with 1 mm, and as the voxels themselves have.
# Seen: "spleen in cm³, in slices of 1, 2, 4, 5 mm: 100 for 100, 260 for 100, 420 for 100, 420 for 100"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps mircat-stats==1.0.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.3.1 scikit-image==0.25.2 loguru==0.7.3 \
    numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import types
from importlib.util import find_spec

import numpy as np
import SimpleITK as sitk

for name in ("mircat_stats", "mircat_stats.statistics"):  # their own start loads XGBoost and more, not used here
    package = types.ModuleType(name)
    package.__path__ = find_spec(name).submodule_search_locations
    sys.modules[name] = package
from mircat_stats.configs.models import torch_model_configs
from mircat_stats.statistics.nifti import resample_nifti_sitk
from mircat_stats.statistics.utils import _calculate_3d_volumes

SPLEEN = torch_model_configs["total"]["output_map"]["spleen"]


def volume(step):
    """Return the volume in cm³ of a spleen of 5 x 5 x 4 cm in slices of this step in mm, and by its voxels."""
    slices = round(200 / step)
    labels = np.zeros((slices, 400, 400), np.uint8)
    half = round(20 / step)
    labels[slices // 2 - half : slices // 2 + half, 100:150, 100:150] = SPLEEN
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((1, 1, step))
    sitk.WriteImage(image, "labels.nii.gz")
    resampled = resample_nifti_sitk("labels.nii.gz", [1.0, 1.0, 1.0], is_label=True, gaussian=False)
    measured = _calculate_3d_volumes(resampled, {"spleen": SPLEEN})["spleen_volume_cm3"]
    return f"{measured:.0f} for {np.sum(labels == SPLEEN) * step / 1000:.0f}"


line = "spleen in cm³, in slices of 1, 2, 4, 5 mm: " + ", ".join(volume(step) for step in (1, 2, 4, 5))
print(line)
expected = "spleen in cm³, in slices of 1, 2, 4, 5 mm: 100 for 100, 260 for 100, 420 for 100, 420 for 100"
sys.exit(0 if line == expected else "this has changed")
PYTHON
