#!/usr/bin/env bash
# dicomhandler 0.0.1, pydicom 3.0.2, numpy 2.4.6, pandas 2.3.3.
# Behaviour: add_margin for "1 GTV" widens every structure whose name contains it, "11 GTV", too. And points are moved
# away from the middle of the structure: at the ends of a vessel of 100 mm a margin of 5 mm is one of 1 mm to the sides,
# and the contours there leave their planes by 4.9 mm. move, which turns and shifts a structure, takes its contours by
# its place in another sequence: asked for the liver, it shifts the heart where contours are listed in another order
# than names. Nothing warns.
# Expected: the structure that is named, 5 mm to each side, and contours by ReferencedROINumber (PS3.3 C.8.8.6).
# Seen: "margin of 5 mm for 1 GTV: 1 GTV 5.0 mm, 11 GTV 5.0 mm, 2 GTV 0.0 mm; a vessel: 5.0 mm in its middle, 1.0 mm at
# its end, whose plane goes from -50 to -54.9 mm; LIVER moved by 30 mm: LIVER 0 mm, HEART 30 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicomhandler==0.0.1 pydicom==3.0.2 numpy==2.4.6 \
    pandas==2.3.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from dicomhandler.dicom_info import DicomInfo
from pydicom.dataset import Dataset

ANGLES = np.radians(np.arange(0, 360, 10))


def item(**attributes):
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def structures(names, heights, order=None):
    """Return structures, each a cylinder of 10 mm around its own middle, with contours at these heights, mm."""
    made = item(PatientName="P", PatientID="P", PatientBirthDate="", Modality="RTSTRUCT")
    made.StructureSetROISequence = [item(ROINumber=number, ROIName=name) for number, name in enumerate(names, 1)]
    contours = []
    for number, _ in enumerate(names, 1):
        planes = []
        for z in heights:
            circle = [(50 * number + 10 * np.cos(angle), 10 * np.sin(angle), z) for angle in ANGLES]
            data = [round(float(value), 4) for point in circle for value in point]
            planes.append(item(ContourGeometricType="CLOSED_PLANAR", ContourData=data))
        contours.append(item(ReferencedROINumber=number, ContourSequence=planes))
    made.ROIContourSequence = [contours[index] for index in order] if order else contours
    return DicomInfo(made)


def points(info, number, plane=0):
    contours = {one.ReferencedROINumber: one for one in info.dicom_struct.ROIContourSequence}
    return np.reshape(np.array(contours[number].ContourSequence[plane].ContourData, float), (-1, 3))


def wider(info, number, plane=0):
    x, y, _ = points(info, number, plane).T
    return f"{np.hypot(x - 50 * number, y).mean() - 10:.1f} mm"


def shifted(info, number):
    return f"{round(points(info, number)[:, 0].mean() - 50 * number)} mm"


lesions = structures(["1 GTV", "11 GTV", "2 GTV"], [0]).add_margin("1 GTV", 5.0)
vessel = structures(["AORTA"], range(-50, 51, 10)).add_margin("AORTA", 5.0)
moved = structures(["LIVER", "HEART"], [0], order=[1, 0]).move("LIVER", 30, "x", [0.0, 0.0, 0.0])
line = (
    f"margin of 5 mm for 1 GTV: 1 GTV {wider(lesions, 1)}, 11 GTV {wider(lesions, 2)}, 2 GTV {wider(lesions, 3)}; "
    f"a vessel: {wider(vessel, 1, 5)} in its middle, {wider(vessel, 1, 0)} at its end, "
    f"whose plane goes from -50 to {points(vessel, 1, 0)[:, 2].mean():.1f} mm; "
    f"LIVER moved by 30 mm: LIVER {shifted(moved, 1)}, HEART {shifted(moved, 2)}"
)
print(line)
expected = (
    "margin of 5 mm for 1 GTV: 1 GTV 5.0 mm, 11 GTV 5.0 mm, 2 GTV 0.0 mm; a vessel: 5.0 mm in its middle, 1.0 mm at "
    "its end, whose plane goes from -50 to -54.9 mm; LIVER moved by 30 mm: LIVER 0 mm, HEART 30 mm"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
