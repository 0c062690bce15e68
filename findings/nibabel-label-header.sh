#!/usr/bin/env bash
# nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: labels 0, 1, 2 in an array of floats, saved with the header of an image of whole numbers, are stretched
# over the type's whole range, with a slope that does not bring 1 back: it is read as 0.996 with 8 bits and as 1.000015
# with 16. A mask `labels == 1` is then empty. SimpleITK reads the same numbers from the file, and nothing warns.
# Expected: 0, 1, 2, as they fit the type of the header.
# Seen: "labels 0, 1, 2 come back as 0, 0.996078, 2 (8 bits) and 0, 1.00002, 2 (16 bits): voxels equal to 1: 0 and 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W error - <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK as sitk

labels = np.zeros((6, 6, 6))
labels[1:3], labels[3:5] = 1, 2


def saved(kind):
    """Save the labels as a prediction is saved: with the affine and header of its source image."""
    source = nibabel.Nifti1Image(np.zeros(labels.shape, kind), np.eye(4))
    nibabel.save(nibabel.Nifti1Image(labels, source.affine, source.header), "labels.nii")
    again = nibabel.load("labels.nii").get_fdata()
    same = np.allclose(again.transpose(2, 1, 0), sitk.GetArrayFromImage(sitk.ReadImage("labels.nii")), atol=1e-6)
    return ", ".join(f"{value:g}" for value in np.unique(again)), int((again == 1).sum()), same


eight, sixteen = saved(np.uint8), saved(np.int16)
print(
    f"labels 0, 1, 2 come back as {eight[0]} (8 bits) and {sixteen[0]} (16 bits): "
    f"voxels equal to 1: {eight[1]} and {sixteen[1]}"
)
sys.exit((eight[1:], sixteen[1:]) != ((0, True), (0, True)))
PYTHON
