#!/usr/bin/env bash
# nii2dcm 0.1.6 (with the pydicom 2.3.0, nibabel 5.0.0 and numpy 1.23.2 that it names), SimpleITK 2.5.7.
# Behaviour: values are cut to whole numbers without a sign, and said to have 12 bits: of a map from 0 to 2.7 only 0, 1
# and 2 are left, -1000 becomes 3096, and 5000 of an MR of 16 bits is 904 for whoever reads the bits stored.
# RescaleSlope is always 1. Nothing warns.
# Expected: a slope for fractions, a sign, and the bits that the values need, or a refusal.
# Seen: "0.6, 2.7 are 0, 2; -1000, 5000 are 3096, 904"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps nii2dcm==0.1.6 pydicom==2.3.0 \
    nibabel==5.0.0 numpy==1.23.2 dunamai==1.18.0 packaging==25.0 SimpleITK==2.5.7
cd "$place"
export PATH="$place/env/bin:$PATH"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK


def converted(name, voxels, columns, origin):
    """Return the DICOM series that is made of a NIfTI file, as SimpleITK reads it, and the file's affine."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.array(columns).T, origin
    nibabel.save(nibabel.Nifti1Image(voxels, affine), f"{name}.nii.gz")
    Path(name).mkdir()
    done = subprocess.run(["nii2dcm", f"{name}.nii.gz", name, "-d", "MR"], capture_output=True, text=True, check=True)
    if "warning" in (done.stdout + done.stderr).lower():
        sys.exit("it warns")
    return SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(name)), affine


def read(name, values, kind):
    voxels = np.zeros((4, 4, 3), kind)
    voxels[:2, 0] = np.array(values)[:, np.newaxis]
    image, _ = converted(name, voxels, np.eye(3), (0, 0, 0))
    return ", ".join(str(value) for value in SimpleITK.GetArrayFromImage(image)[0, :2, 0])


line = f"0.6, 2.7 are {read('map', [0.6, 2.7], np.float32)}; -1000, 5000 are {read('mr', [-1000, 5000], np.int16)}"
print(line)
expected = "0.6, 2.7 are 0, 2; -1000, 5000 are 3096, 904"
sys.exit(0 if line == expected else "this has changed")
PYTHON
