#!/usr/bin/env bash
# antspyx 0.6.3, numpy 2.3.5.
# Behaviour: from_numpy of signed integers, such as a CT in Hounsfield units, makes an image of unsigned ones: ANTs has
# no signed integers, and the nearest type is taken without a word. Air of -1000 HU is 4,294,966,296, the mean of a scan
# that is half air two billion, and as a NIfTI file it stays so. The same array in floats, and an image_read of the same
# voxels from a file, are right. The documentation of from_numpy says nothing of types.
# Expected: floats, as image_read makes them, or an error.
# Seen: "int16: unsigned int, air 4294966296, mean 2147483168; int32: unsigned int, air 4294966296, mean 2147483168;
# float32: float, air -1000, mean -480; read: float, air -1000, mean -480; written, and read by nibabel: 4294966296"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check antspyx==0.6.3 numpy==2.3.5 pandas==2.3.3 nibabel==5.4.2
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import ants
import nibabel
import numpy as np

scan = np.full((20, 20, 20), 40, np.int16)
scan[:, :, 10:] = -1000
nibabel.save(nibabel.Nifti1Image(scan, np.eye(4)), "scan.nii.gz")
seen = []
for name, image in (
    ("int16", ants.from_numpy(scan)),
    ("int32", ants.from_numpy(scan.astype(np.int32))),
    ("float32", ants.from_numpy(scan.astype(np.float32))),
    ("read", ants.image_read("scan.nii.gz")),
):
    seen.append(f"{name}: {image.pixeltype}, air {image.numpy()[0, 0, 15]:.0f}, mean {image.mean():.0f}")
ants.image_write(ants.from_numpy(scan), "written.nii.gz")
seen.append(f"written, and read by nibabel: {nibabel.load('written.nii.gz').get_fdata()[0, 0, 15]:.0f}")
line = "; ".join(seen)
print(line)
expected = (
    "int16: unsigned int, air 4294966296, mean 2147483168; int32: unsigned int, air 4294966296, mean "
    "2147483168; float32: float, air -1000, mean -480; read: float, air -1000, mean -480; written, and read by"
    " nibabel: 4294966296"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
