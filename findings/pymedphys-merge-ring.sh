#!/usr/bin/env bash
# pymedphys 0.41.0, pydicom 3.0.2, numpy 2.4.6, shapely 2.2.0.
# Behaviour: merge_contours keeps the outer edge of what contours make together, and none within: the wall of a bladder
# that was drawn as two halves becomes the bladder, filled. The same wall drawn as one contour with a keyhole stays.
# Expected: the ring, as a contour with a keyhole (PS3.3 C.8.8.6.3), or a refusal.
# Seen: "area in mm2: one contour with a keyhole 300, merged 300; two halves 150 and 150, merged 400"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pymedphys==0.41.0 pydicom==3.0.2 numpy==2.4.6 \
    shapely==2.2.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from pydicom.dataset import Dataset
from pymedphys.dicom import merge_contours

OUTER = [(0, 0), (20, 0), (20, 20), (0, 20)]
KEYHOLE = [*OUTER, (0, 10), (5, 10), (5, 15), (15, 15), (15, 5), (5, 5), (5, 10), (0, 10)]
LEFT = [(0, 0), (10, 0), (10, 5), (5, 5), (5, 15), (10, 15), (10, 20), (0, 20)]
RIGHT = [(20 - x, y) for x, y in LEFT]


def item(**attributes):
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def area(points):
    following = points[1:] + points[:1]
    return abs(sum(x * later_y - later_x * y for (x, y), (later_x, later_y) in zip(points, following))) / 2


def merged(*contours):
    """Return the area of the contours that are left."""
    image = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID="1.2.3")
    drawn = [
        item(
            ContourGeometricType="CLOSED_PLANAR",
            NumberOfContourPoints=len(points),
            ContourImageSequence=[image],
            ContourData=[value for x, y in points for value in (x, y, 0)],
        )
        for points in contours
    ]
    left = merge_contours(item(ReferencedROINumber=1, ContourSequence=drawn)).ContourSequence
    return sum(area(list(zip(one.ContourData[::3], one.ContourData[1::3]))) for one in left)


line = (
    f"area in mm2: one contour with a keyhole {area(KEYHOLE):.0f}, merged {merged(KEYHOLE):.0f}; "
    f"two halves {area(LEFT):.0f} and {area(RIGHT):.0f}, merged {merged(LEFT, RIGHT):.0f}"
)
print(line)
expected = "area in mm2: one contour with a keyhole 300, merged 300; two halves 150 and 150, merged 400"
sys.exit(0 if line == expected else "this has changed")
PYTHON
