#!/usr/bin/env bash
# ngff-zarr 0.50.0, itkwasm-downsample 2.0.2, dask-image 2026.5.0, dask 2026.8.0, bioio-ome-zarr 3.8.1, zarr 3.1.6,
# numpy 2.3.5.
# Behaviour: both libraries make the coarser levels of a microscope image (OME-Zarr). The methods dask_image_gaussian
# and dask_image_nearest of ngff-zarr (and itk_gaussian) take the first of each two pixels and write a place between the
# two beside it: the image moves down to the right, further with each level; by its default and by the others it stays.
# bioio-ome-zarr writes the middle of two pixels under the place of the first, as it writes no translation at all: the
# image moves up to the left.
# Expected: a cell is at the same place at each level, where the scale and translation of that level are used.
# Seen: "a cell at 150.0 um at 1/8: ngff-zarr itkwasm_gaussian 150.0, dask_bin_shrink 150.0, dask_image_gaussian 151.8,
# dask_image_nearest 151.8; bioio-ome-zarr 146.8"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check ngff-zarr==0.50.0 \
    itkwasm-downsample==2.0.2 dask-image==2026.5.0 dask==2026.8.0 bioio-ome-zarr==3.8.1 \
    zarr==3.1.6 numpy==2.3.5
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import zarr
from bioio_ome_zarr.writers import OMEZarrWriter
from ngff_zarr import Methods, to_multiscales, to_ngff_image

METHODS = ("itkwasm_gaussian", "dask_bin_shrink", "dask_image_gaussian", "dask_image_nearest")
MICROMETRES = 0.5  # of a pixel

row, column = np.mgrid[:512, :512]
cell = (1000 * ((row - 300) ** 2 + (column - 200) ** 2 <= 60**2)).astype(np.uint16)


def height(image, scale, translation=0.0):
    """Return the centre along the rows, in um."""
    image = np.asarray(image, float)
    return (image.sum(axis=1) * np.arange(len(image))).sum() / image.sum() * scale + translation


def by_ngff_zarr(method):
    whole = to_ngff_image(cell, dims=["y", "x"], scale={"y": MICROMETRES, "x": MICROMETRES})
    coarse = to_multiscales(whole, scale_factors=[2, 4, 8], method=Methods(method)).images[-1]
    return height(coarse.data, coarse.scale["y"], coarse.translation["y"])


def by_bioio():
    writer = OMEZarrWriter(
        store="cell.zarr",
        level_shapes=[(512, 512), (256, 256), (128, 128), (64, 64)],
        dtype=np.uint16,
        axes_names=["y", "x"],
        axes_types=["space", "space"],
        axes_units=["micrometer", "micrometer"],
        physical_pixel_size=[MICROMETRES, MICROMETRES],
    )
    writer.write_full_volume(cell)
    group = zarr.open_group("cell.zarr", mode="r")
    level = dict(group.attrs)["ome"]["multiscales"][0]["datasets"][-1]
    transforms = {one["type"]: one[one["type"]] for one in level["coordinateTransformations"]}
    return height(group[level["path"]], transforms["scale"][0], transforms.get("translation", [0.0])[0])


found = ", ".join(f"{method} {by_ngff_zarr(method):.1f}" for method in METHODS)
line = f"a cell at {height(cell, MICROMETRES):.1f} um at 1/8: ngff-zarr {found}; bioio-ome-zarr {by_bioio():.1f}"
print(line)
expected = (
    "a cell at 150.0 um at 1/8: ngff-zarr itkwasm_gaussian 150.0, dask_bin_shrink 150.0, dask_image_gaussian 151.8, "
    "dask_image_nearest 151.8; bioio-ome-zarr 146.8"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
