#!/usr/bin/env bash
# ivim-mri 1.0.1, nibabel 5.4.2, numpy 1.26.4, scipy 1.11.4.
# Behaviour: ivim.preproc.signal_drift.temporal, besides the drift, cuts all values of the series to its 1st and 99th
# percentile, brightest and darkest tissue together, which is said nowhere. Of a series without any drift a cyst of 1 %
# of the voxels has the signals of the tissue around it afterwards, at each b-value, and its diffusion coefficient.
# Expected: signals divided by the drift, which is none (Vos et al., Magn Reson Med 2017, 77:285): a cyst of 3.0 um²/ms.
# Seen: "diffusion of a cyst and of tissue: 3.0 and 0.8, corrected for no drift 0.8 and 0.8; the cyst at b = 0 is 3.3
# times as bright, corrected 1.0 times"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check ivim-mri==1.0.1 nibabel==5.4.2 numpy==1.26.4 scipy==1.11.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import nibabel
import numpy as np
from ivim.preproc.signal_drift import temporal

SHAPE, WEIGHTINGS = (20, 20, 5), np.array([0, 1000] * 6)  # voxels; s/mm²
cyst = np.zeros(SHAPE, bool)
cyst[9:11, 9:11] = True  # 1 % of the voxels
signal, diffusion = np.where(cyst, 1000, 300), np.where(cyst, 3.0e-3, 0.8e-3)  # mm²/s
series = signal[..., None] * np.exp(-WEIGHTINGS * diffusion[..., None])  # the same from the first to the last
nibabel.save(nibabel.Nifti1Image(series.astype(np.float32), np.eye(4)), "series.nii.gz")
np.savetxt("series.bval", WEIGHTINGS[None], fmt="%d")
temporal("series.nii.gz", "series.bval", "made")
made = nibabel.load("made_corr.nii.gz").get_fdata()


def coefficients(images):
    """Return the diffusion coefficients (um²/ms) of the cyst and of the tissue around it."""
    found = []
    for where in (cyst, ~cyst):
        without, weighted = (images[where][:, WEIGHTINGS == b].mean() for b in (0, 1000))
        found.append(f"{np.log(without / weighted):.1f}")
    return " and ".join(found)


share = made[cyst][:, 0].mean() / made[~cyst][:, 0].mean()
line = (
    f"diffusion of a cyst and of tissue: {coefficients(series)}, corrected for no drift {coefficients(made)}; the cyst "
    f"at b = 0 is 3.3 times as bright, corrected {share:.1f} times"
)
print(line)
expected = (
    "diffusion of a cyst and of tissue: 3.0 and 0.8, corrected for no drift 0.8 and 0.8; the cyst at b = 0 is 3.3 "
    "times as bright, corrected 1.0 times"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
