#!/usr/bin/env bash
# platipy 0.7.2, SimpleITK 2.5.7, pydicom 2.4.5, numpy 2.4.6, scikit-image 0.26.0.
# Behaviour: the masks of an RTSTRUCT are cut off in images that are not square: a contour's columns are clipped to the
# number of rows, and its rows to the number of columns. In an image of 100 rows and 200 columns a structure to the
# right of column 100 is an empty mask, and one across it is a part. pydicer converts by the same function.
# Expected: the mask of the same contours in a square image.
# Seen: "voxels left, across, right: 484, 924, 484 of 200 x 200; 484, 440, 0 of 100 x 200; above and below the middle of
# 200 x 100: 484, 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check platipy==0.7.2 SimpleITK==2.5.7 pydicom==2.4.5 \
    numpy==2.4.6 scikit-image==0.26.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import SimpleITK as sitk
from platipy.dicom.io.rtstruct_to_nifti import transform_point_set_from_dicom_struct
from pydicom.dataset import Dataset


def item(**attributes):
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def voxels(columns, rows, places):
    """Return the size of each mask of rectangles at x, y, width, in four planes."""
    names, contours = [], []
    for number, (x, y, width) in enumerate(places):
        planes = []
        for z in range(4):
            corners = [x, y, z, x + width, y, z, x + width, y + 10, z, x, y + 10, z]
            planes.append(item(ContourGeometricType="CLOSED_PLANAR", ContourData=corners))
        names.append(item(ROINumber=number, ROIName=f"{number}"))
        contours.append(item(ReferencedROINumber=number, ContourSequence=planes))
    structures = item(StructureSetROISequence=names, ROIContourSequence=contours)
    masks, _ = transform_point_set_from_dicom_struct(sitk.Image(columns, rows, 4, sitk.sitkInt16), structures)
    return ", ".join(str(sitk.GetArrayFromImage(mask).sum()) for mask in masks)


side_by_side, stacked = [(20, 30, 10), (90, 30, 20), (150, 30, 10)], [(30, 20, 10), (30, 150, 10)]
line = (
    f"voxels left, across, right: {voxels(200, 200, side_by_side)} of 200 x 200; "
    f"{voxels(200, 100, side_by_side)} of 100 x 200; "
    f"above and below the middle of 200 x 100: {voxels(100, 200, stacked)}"
)
print(line)
expected = (
    "voxels left, across, right: 484, 924, 484 of 200 x 200; 484, 440, 0 of 100 x 200; above and below the middle of "
    "200 x 100: 484, 0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
