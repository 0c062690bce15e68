#!/usr/bin/env bash
# ome-zarr 0.18.0, zarr 3.1.6, dask 2026.8.0, scikit-image 0.26.0, numpy 2.4.6.
# Behaviour: write_image and write_labels make coarser levels of a microscope image and of the labels of its cells. Both
# say where the centre of the first coarse pixel lies (half a pixel further in for each halving), which is true of the
# image. Labels are made by `nearest`, the default, which takes pixels 1, 3, 5 ... of each level for 0, 1, 2 ...: they
# lie up to the left of the place that is written beside them, and of their own image at the same level. Also,
# scale_factors=(4, 16) makes levels of 2 and 4: of a list of numbers only its length is read.
# Expected: a cell at 150, 100 um is there at each level, as an image and as a label; levels of 4 and 16.
# Seen: "image: 150.0 100.0, 150.0 100.0, 150.0 100.0, 150.0 100.0, 150.0 100.0; labels: 150.0 100.0, 149.8 99.8, 149.3
# 99.3, 148.5 98.5, 147.0 96.8; levels of 4 and 16: 2, 4"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check ome-zarr==0.18.0 zarr==3.1.6 dask==2026.8.0 \
    scikit-image==0.26.0 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import zarr
from ome_zarr.writer import write_image, write_labels

SCALE = {"axes": "yx", "scale": {"y": 0.5, "x": 0.5}, "axes_units": {"y": "micrometer", "x": "micrometer"}}


def levels(group):
    """Return each level with its scale and the place of its first pixel, in um."""
    for level in dict(group.attrs)["ome"]["multiscales"][0]["datasets"]:
        scale, translation = level["coordinateTransformations"]
        yield np.asarray(group[level["path"]], float), np.array(scale["scale"]), np.array(translation["translation"])


def centres(group):
    """Return the centre of the cell at each level."""
    found = []
    for image, scale, start in levels(group):
        middle = (np.indices(image.shape) * image).sum(axis=(1, 2)) / image.sum() * scale + start
        found.append(f"{middle[0]:.1f} {middle[1]:.1f}")
    return ", ".join(found)


row, column = np.mgrid[:512, :512]
cell = ((row - 300) ** 2 + (column - 200) ** 2 <= 60**2).astype(np.uint16)
write_image(1000 * cell, "slide.zarr", **SCALE)
write_labels(cell, "slide.zarr", name="cells", **SCALE)
write_image(cell, "other.zarr", axes="yx", scale_factors=(4, 16))
slide = zarr.open_group("slide.zarr", mode="r")
factors = [512 // image.shape[0] for image, _, _ in levels(zarr.open_group("other.zarr", mode="r"))][1:]
line = (
    f"image: {centres(slide)}; labels: {centres(slide['labels/cells'])}; levels of 4 and 16: "
    f"{', '.join(map(str, factors))}"
)
print(line)
expected = (
    "image: 150.0 100.0, 150.0 100.0, 150.0 100.0, 150.0 100.0, 150.0 100.0; labels: 150.0 100.0, 149.8 99.8, "
    "149.3 99.3, 148.5 98.5, 147.0 96.8; levels of 4 and 16: 2, 4"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
