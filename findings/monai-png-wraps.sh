#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, pillow 13.0.0.
# Behaviour: SaveImage to .png without scale= cuts each value to its lowest eight bits and says nothing: label 300
# becomes 44, CT at -1000 HU becomes 24 and is brighter than fat at -256, which becomes 0, and an image of 0 to 1 is
# black but for its single brightest value.
# Expected: an error, a warning, or values at the end of the range; 16 bits for labels above 255, which PNG has.
# Seen: "labels 255, 256, 300 are 255, 0, 44; -1000, -256, 40, 300 HU are 24, 0, 40, 44; 0, 0.5, 0.99, 1 are 0, 0, 0, 1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 pillow==13.0.0 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SaveImage
from PIL import Image

save = SaveImage(output_dir=".", output_ext=".png", output_postfix="", separate_folder=False, print_log=False)


def saved(*values, kind=torch.float32):
    image = torch.tensor(values, dtype=kind)[None, :, None].expand(1, -1, 2).clone()
    save(MetaTensor(image, meta={"filename_or_obj": "image"}))
    return np.array(Image.open("image.png"))[0].tolist()  # a PNG's rows are the second axis


labels, units, fractions = saved(255, 256, 300, kind=torch.int32), saved(-1000, -256, 40, 300), saved(0, 0.5, 0.99, 1)
print(
    f"labels 255, 256, 300 are {', '.join(map(str, labels))}; -1000, -256, 40, 300 HU are {', '.join(map(str, units))}; "
    f"0, 0.5, 0.99, 1 are {', '.join(map(str, fractions))}"
)
sys.exit((labels, units, fractions) != ([255, 0, 44], [24, 0, 40, 44], [0, 0, 0, 1]))
PYTHON
