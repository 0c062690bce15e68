#!/usr/bin/env bash
# asltk 1.1.3, SimpleITK 2.5.7, numpy 1.26.4, scipy 1.17.1.
# Behaviour: the mean T2 that T2Scalar_ASLMapping gives for each delay is taken over the whole image, with a T2 of 0
# outside the brain mask: 80 ms in a tenth of the image have a mean of 8 ms. And where the signal is below 1, as in an
# image divided by its M0, every T2 is 0.
# Expected: 80 ms, in any unit of the signal.
# Seen: "T2 of 80 ms in 20 of 200 voxels: T2 80.0, mean_t2 8.0; the signal divided by 1000: T2 0.0, mean_t2 0.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check asltk==1.1.3 SimpleITK==2.5.7 numpy==1.26.4 \
    scipy==1.17.1
cd "$place"
cat > run.py <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from asltk.asldata import ASLData
from asltk.reconstruction import T2Scalar_ASLMapping
from asltk.utils.io import ImageIO

ECHOES, DELAYS = [13.0, 30.0, 60.0, 100.0], [1000.0, 1800.0]  # ms
brain = np.zeros((2, 10, 10), np.uint8)
brain[:, :2, :5] = 1


def times(scale):
    """Return the T2 in the brain and the mean that is given."""
    echoes = []
    for echo in ECHOES:
        plane = sitk.GetImageFromArray(np.full((2, 10, 10), scale * 500 * np.exp(-echo / 80), np.float32))
        echoes.append(sitk.JoinSeries([plane, plane]))  # (delays, z, y, x)
    sitk.WriteImage(sitk.JoinSeries(echoes), "echoes.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 10, 10), 1000, np.float32)), "m0.nii.gz")
    study = ASLData(
        pcasl="echoes.nii.gz", m0="m0.nii.gz", ld_values=[1800.0, 1800.0], pld_values=DELAYS, te_values=ECHOES
    )
    mapping = T2Scalar_ASLMapping(study)
    mapping.set_brain_mask(ImageIO(image_array=brain))
    made = mapping.create_map(cores=1, suppress_warnings=True)
    return f"T2 {made['t2'].get_as_numpy()[0, 0, 0, 0]:.1f}, mean_t2 {made['mean_t2'][0]:.1f}"


if __name__ == "__main__":
    line = f"T2 of 80 ms in 20 of 200 voxels: {times(1)}; the signal divided by 1000: {times(0.001)}"
    print(line)
    expected = (
        "T2 of 80 ms in 20 of 200 voxels: T2 80.0, mean_t2 8.0; the signal divided by 1000: T2 0.0, mean_t2 0.0"
    )
    sys.exit(0 if line == expected else "this has changed")
PYTHON
env/bin/python -W ignore run.py 2> said.txt | grep mean_t2 || { cat said.txt; exit 1; }
