#!/usr/bin/env bash
# nidataset 0.9.1, nibabel 5.4.2, numpy 2.4.6, scipy 1.17.1, scikit-image 0.24.0, SimpleITK 2.5.7, opencv-python
# 4.11.0.86, pandas 2.2.3, matplotlib 3.11.2, tqdm 4.70.1.
# Behaviour: extract_annotations for a whole volume writes as CENTER_Z of a lesion its first slice, 5 slices from its
# centre here, and as CENTER_X and CENTER_Y the two exchanged, while the mode `radius` of the same function writes all
# three as they are, under the same names.
# Expected: the same centre in both modes.
# Seen: "a lesion at 12, 55, 25: center CENTER_X 55, CENTER_Y 12, CENTER_Z 20; radius CENTER_X 12, CENTER_Y 55, CENTER_Z
# 25"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nidataset==0.9.1 nibabel==5.4.2 numpy==2.4.6 \
    scipy==1.17.1 scikit-image==0.24.0 SimpleITK==2.5.7 opencv-python==4.11.0.86 pandas==2.2.3 matplotlib==3.11.2 \
    tqdm==4.70.1
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - 2> said.txt <<'PYTHON' || { cat said.txt; exit 1; }
import csv
import sys

import nibabel
import numpy as np
from nidataset.slices import extract_annotations

lesion = np.zeros((60, 80, 40), np.uint8)
lesion[10:15, 50:61, 20:31] = 1  # its centre is the voxel 12, 55, 25
nibabel.save(nibabel.Nifti1Image(lesion, np.eye(4)), "lesion.nii.gz")
said = []
for mode in ("center", "radius"):
    (written,) = extract_annotations("lesion.nii.gz", mode, saving_mode="volume", data_mode=mode)
    with open(written, newline="") as file:
        names, values = list(csv.reader(file))
    centre = zip(names[:3], values[:3], strict=True)
    said.append(f"{mode} {', '.join(f'{name} {float(value):g}' for name, value in centre)}")
line = f"a lesion at 12, 55, 25: {'; '.join(said)}"
print(line)
expected = (
    "a lesion at 12, 55, 25: center CENTER_X 55, CENTER_Y 12, CENTER_Z 20; radius CENTER_X 12, CENTER_Y 55, CENTER_Z "
    "25"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
