#!/usr/bin/env bash
# nii2dcm 0.1.6 (with the pydicom 2.3.0, nibabel 5.0.0 and numpy 1.23.2 that it names), SimpleITK 2.5.7.
# Behaviour: the DICOM series made of a NIfTI file lies elsewhere: positions are written in NIfTI's axes, of which the
# first two point the other way than DICOM's, each slice is one slice too low, and of the directions all three parts are
# turned, where two should be. A voxel of an axial image lies 100 mm from its place, beyond the middle; coronal and
# sagittal ones are upside down as well. Nothing warns.
# Expected: the same voxel at the same place of the patient: x and y turned, z as it is, in positions and in directions.
# Seen: "left, behind, above in mm: axial -43, -35, 28 for 37, 25, 31; coronal -43, -12, 5 for 37, 9, 15; sagittal -22,
# -33, 5 for 19, 27, 15"
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


def place(name, columns):
    voxels = np.zeros((20, 24, 16), np.int16)
    voxels[3, 5, 7] = 1000
    image, affine = converted(name, voxels, columns, (-40, -30, 10))
    slices, rows, across = (int(index) for index in np.argwhere(SimpleITK.GetArrayFromImage(image) == 1000)[0])
    seen = image.TransformIndexToPhysicalPoint((across, rows, slices))
    right = (affine @ [3, 5, 7, 1])[:3] * [-1, -1, 1]
    return f"{name} {' for '.join(', '.join(f'{value:.0f}' for value in point) for point in (seen, right))}"


line = (
    f"left, behind, above in mm: {place('axial', [(1, 0, 0), (0, 1, 0), (0, 0, 3)])}; "
    f"{place('coronal', [(1, 0, 0), (0, 0, 1), (0, 3, 0)])}; {place('sagittal', [(0, 1, 0), (0, 0, 1), (3, 0, 0)])}"
)
print(line)
expected = (
    "left, behind, above in mm: axial -43, -35, 28 for 37, 25, 31; coronal -43, -12, 5 for 37, 9, 15; sagittal -22, "
    "-33, 5 for 19, 27, 15"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
