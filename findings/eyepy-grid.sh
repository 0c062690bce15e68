#!/usr/bin/env bash
# eyepy 0.21.0, numpy 2.4.6, scipy 1.17.1, scikit-image 0.24.0, construct 2.10.70, construct-typing 0.8.1.
# Behaviour: drusen are measured on a grid of rings on the localizer, whose radii are divided by the pixel size of the
# B-scan: where the localizer is twice as fine, the ring of 1.5 mm covers 0.75 mm, and a quarter of what is in it is
# found. The centre of the grid, documented as (row, column), is used as (column, row): with the fovea 1 mm left of the
# middle and 1 mm below it, the grid lies 1 mm right of it and 1 mm above, and drusen of the fovea are 0. What is drawn
# for it lies at the right place.
# Expected: the volume within 1.5 mm of the fovea, whatever the localizer's pixels.
# Seen: "drusen within 1.5 mm, mm³: localizer of 256 pixels 0.056 of 0.057, of 512 0.014 of 0.057; grid at the middle
# 0.025 of 0.025, at a fovea left and below 0.000 of 0.025"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check eyepy==0.21.0 numpy==2.4.6 scipy==1.17.1 \
    scikit-image==0.24.0 construct==2.10.70 construct-typing==0.8.1
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from eyepy import EyeBscanMeta, EyeEnface, EyeEnfaceMeta, EyeVolume, EyeVolumeMeta
from skimage.transform import AffineTransform

FIELD, SCANS, COLUMNS, HEIGHT = 6.0, 128, 256, 0.004  # mm; B-scans; A-scans each; mm of a pixel in depth


def measured(x, y, radius, pixels=256, grid_there=False):
    """Return the drusen found within 1.5 mm, and all of them (mm³): a disc of 0.008 mm at x, y mm of the localizer."""
    spacing = FIELD / SCANS
    lines = [
        EyeBscanMeta(start_pos=(0, FIELD - k * spacing), end_pos=(FIELD, FIELD - k * spacing), pos_unit="mm")
        for k in range(SCANS)
    ]
    meta = EyeVolumeMeta(FIELD / SCANS, FIELD / COLUMNS, HEIGHT, "mm", lines, laterality="OD")
    side = FIELD / pixels
    localizer = EyeEnface(np.zeros((pixels, pixels)), EyeEnfaceMeta(side, side, "mm", laterality="OD"))
    scale = AffineTransform(scale=(pixels / COLUMNS, pixels / SCANS))
    volume = EyeVolume(np.zeros((SCANS, 16, COLUMNS), np.float32), meta, localizer, scale)
    across = (np.arange(COLUMNS) + 0.5) * FIELD / COLUMNS - x
    down = (SCANS - np.arange(SCANS) - 0.5) * FIELD / SCANS - y  # the first B-scan is the lowest
    drusen = np.zeros(volume.shape, bool)
    drusen[:, 4:6, :] = (across[None, :] ** 2 + down[:, None] ** 2 < radius**2)[:, None, :]
    centre = (y / side, x / side) if grid_there else None  # row, column
    added = volume.add_pixel_annotation(
        drusen, name="drusen", radii=(1.5,), n_sectors=(1,), rotation=(0,), center=centre
    )
    found = added.quantification
    return f"{found['Radius: 0-1.5 Sector: 0 [mm³]']:.3f} of {found['Total [mm³]']:.3f}"


line = (
    f"drusen within 1.5 mm, mm³: localizer of 256 pixels {measured(3, 3, 1.5)}, of 512 {measured(3, 3, 1.5, 512)}; "
    f"grid at the middle {measured(3, 3, 1, grid_there=True)}, at a fovea left and below "
    f"{measured(2, 4, 1, grid_there=True)}"
)
print(line)
expected = (
    "drusen within 1.5 mm, mm³: localizer of 256 pixels 0.056 of 0.057, of 512 0.014 of 0.057; grid at the middle "
    "0.025 of 0.025, at a fovea left and below 0.000 of 0.025"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
