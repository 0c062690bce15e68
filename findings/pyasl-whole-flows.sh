#!/usr/bin/env bash
# pyasl-osipi 0.2.1, nibabel 5.3.2, numpy 2.2.6.
# Behaviour: PerfusionQuantify puts the blood flow of each voxel into an array made in the likeness of that of the
# voxels' numbers, which are integers: the fraction of each flow is cut off, pair by pair, before the mean is taken.
# White matter of 20.9 mL/100g/min has 20.0, and 0.9 in an infarct is 0.
# Expected: the flows of the consensus formula for pCASL, with their fractions.
# Seen: "blood flow in mL/100g/min: 60.9, 20.9, 3.7, 0.9; by PerfusionQuantify 60.0, 20.0, 3.0, 0.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps pyasl-osipi==0.2.1
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.3.2 numpy==2.2.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np

package = types.ModuleType("pyasl")  # its own start loads TensorFlow, which the module below does not use
package.__path__ = find_spec("pyasl").submodule_search_locations
sys.modules["pyasl"] = package
from pyasl.modules.asltbx_perfusion_quantify import PerfusionQuantify

FLOWS = [60.9, 20.9, 3.7, 0.9]  # mL/100g/min
DELAY_S, DURATION_S, EFFICIENCY, LAMBDA, BLOOD_T1_S, M0 = 1.8, 1.8, 0.85, 0.9, 1.664, 1000.0

# the consensus formula, turned round
change = np.array(FLOWS) * 2 * EFFICIENCY * BLOOD_T1_S * M0 * (1 - np.exp(-DURATION_S / BLOOD_T1_S))
change = (change / (6000 * LAMBDA * np.exp(DELAY_S / BLOOD_T1_S))).reshape(4, 1, 1)
folder = Path("derivatives/sub-1/perf")
folder.mkdir(parents=True)


def write(name, values):
    """Write an image of four voxels."""
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float64), np.eye(4)), folder / name)


control = np.full((4, 1, 1), M0)
write("srrasl.nii", np.stack([control, control - change], axis=3))
write("srm0.nii", control)
write("asl_mask_perf_cbf.nii", np.ones((4, 1, 1)))
described = {
    "PLDList": [DELAY_S], "MagneticFieldStrength": 3, "LabelingEfficiency": EFFICIENCY, "M0Type": "Separate",
    "Images": {"rawdata/sub-1": {"asl": ["asl"], "M0": "m0"}}, "ASLContext": ["control", "label"],
    "ArterialSpinLabelingType": "PCASL", "LabelingDuration": DURATION_S, "LabelControl": False,
}
PerfusionQuantify().run(described, {"QuantFlag": 0})
found = nibabel.load(folder / "asl_mCBF.nii").get_fdata().ravel()
line = (
    f"blood flow in mL/100g/min: {', '.join(f'{flow:.1f}' for flow in FLOWS)}; by PerfusionQuantify "
    f"{', '.join(f'{flow:.1f}' for flow in found)}"
)
print(line)
expected = "blood flow in mL/100g/min: 60.9, 20.9, 3.7, 0.9; by PerfusionQuantify 60.0, 20.0, 3.0, 0.0"
sys.exit(0 if line == expected else "this has changed")
PYTHON
