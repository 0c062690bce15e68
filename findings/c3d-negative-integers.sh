#!/usr/bin/env bash
# picsl-c3d 1.4.6.0 (Convert3D, by the authors of ITK-SNAP), nibabel 5.4.2, numpy 2.4.6.
# Behaviour: written as integers, each negative whole number of an image becomes the next larger one: of a CT that is read
# and written as `short`, without any other step, air at -1000 HU is at -999 and -1 is 0, while 40 stays. Positive values
# are rounded to the nearest; the half that this adds is added below zero, too, and then cut off towards zero. With
# -noround whole numbers stay, and as floats.
# Expected: the same voxels, since there is nothing to round.
# Seen: "-1000, -3, -2, -1, 0, 1, 40 as short: -999, -2, -1, 0, 0, 1, 40; with -noround -1000, -3, -2, -1, 0, 1, 40"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check picsl-c3d==1.4.6.0 nibabel==5.4.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np
from picsl_c3d import Convert3D

units = [-1000, -3, -2, -1, 0, 1, 40]
voxels = np.tile(np.array(units, np.int16)[:, None, None], (1, 4, 4))
nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), "ct.nii.gz")


def written(options):
    Convert3D().execute(f"{options} ct.nii.gz -type short -o written.nii.gz")
    return np.asarray(nibabel.load("written.nii.gz").dataobj)[:, 0, 0].astype(int).tolist()


usual, whole = written(""), written("-noround")
print(
    f"{', '.join(map(str, units))} as short: {', '.join(map(str, usual))}; "
    f"with -noround {', '.join(map(str, whole))}"
)
sys.exit(not (usual == [-999, -2, -1, 0, 0, 1, 40] and whole == units))
PYTHON
