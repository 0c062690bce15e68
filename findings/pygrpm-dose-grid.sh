#!/usr/bin/env bash
# pyGRPM 0.8.5, dicompyler-core 0.5.6, pydicom 2.4.5, scikit-image 0.25.2, scipy 1.13.1, numpy 1.26.4.
# Behaviour: compute_dose calculates the dose of a brachytherapy plan on a grid over the structures. The source's
# positions are turned from mm into cm, the points of the grid are not: the comment beside them says "mm -> cm", and
# they are divided by a factor of 1. A source at the corner of the coordinates has at 10 mm the dose that it has at 10
# cm, and one elsewhere irradiates another place. The dose-volume histogram of the same plan is right.
# Expected: at 1 cm beside the source strength times dose rate constant times time, which is how TG-43 defines the
# constant.
# Seen: "dose 10 mm beside the source, by strength, constant and time 12.4 Gy; middle of a target there by its
# histogram 12.4 Gy; on the grid 0.1 Gy, of a source at x 60 mm 0.0 Gy"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pygrpm==0.8.5 dicompyler-core==0.5.6 pydicom==2.4.5 \
    scikit-image==0.25.2 pydantic==1.10.27 matplotlib==3.11.2 xarray==2024.11.0 scipy==1.13.1 numpy==1.26.4
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pygrpm.brachy_dvh.calculate import calculate_dvh, compute_dose
from pygrpm.brachy_dvh.dose_parameters import Dose3dControlParameters, DvhControlParameters

STRENGTH_U, TIME_S, CONSTANT = 40000, 100, 1.113  # of a Flexisource, in cGy/h/U
STRUCTURES = generate_uid()


def write(name, data):
    """Write a DICOM file."""
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.is_little_endian, data.is_implicit_VR = True, False
    data.save_as(name, write_like_original=False)
    return Path(name)


def item(**values):
    """Return a data set with these values."""
    data = Dataset()
    for key, value in values.items():
        setattr(data, key, value)
    return data


def structures(x, half):
    """Write a square of 2 * half mm around x, 0 in three slices."""
    corners = [(x - half, -half), (x + half, -half), (x + half, half), (x - half, half)]
    contours = [
        item(ContourData=[v for a, b in corners for v in (a, b, z)], NumberOfContourPoints=4)
        for z in (-1.0, 0.0, 1.0)
    ]
    data = item(Modality="RTSTRUCT", SOPInstanceUID=STRUCTURES, SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3")
    data.StructureSetROISequence = [item(ROIName="target", ROINumber=1)]
    data.ROIContourSequence = [item(ReferencedROINumber=1, ContourSequence=contours)]
    return write("structures.dcm", data)


def plan(x):
    """Write a plan with one dwell position at x, 0, 0 mm."""
    points = [
        item(ControlPointRelativePosition=0, CumulativeTimeWeight=weight, ControlPoint3DPosition=[x, 0, 0])
        for weight in (0, 100)
    ]
    channel = item(ChannelNumber=1, ChannelTotalTime=TIME_S, FinalCumulativeTimeWeight=100)
    channel.BrachyControlPointSequence = points
    data = item(Modality="RTPLAN", SOPInstanceUID=generate_uid(), SOPClassUID="1.2.840.10008.5.1.4.1.1.481.5")
    data.BrachyTreatmentType = "HDR"
    source = item(ReferenceAirKermaRate=STRENGTH_U, SourceIsotopeName="Ir-192", SourceManufacturer="Nucletron")
    source.SourceStrengthReferenceDate = "20260101"
    data.SourceSequence = [source]
    data.FractionGroupSequence = [item(ReferencedBrachyApplicationSetupSequence=[item(BrachyApplicationSetupDose=10)])]
    data.TreatmentMachineSequence = [item(ManufacturerModelName="afterloader")]
    data.ReferencedStructureSetSequence = [item(ReferencedSOPInstanceUID=STRUCTURES)]
    data.ApplicationSetupSequence = [item(ApplicationSetupType="UNDEFINED", ChannelSequence=[channel])]
    return write("plan.dcm", data)


def on_grid(x):
    """Return the dose 10 mm to the right of a source at x, in Gy, on the grid."""
    grid = Dose3dControlParameters(max_dose=1000, voxel_size_x=1, voxel_size_y=1, voxel_size_z=1)
    dose, (start, step, _) = compute_dose(plan(x), structures(x, 20), grid)
    row, column, plane = (np.array([0, x + 10, 0]) - start[[1, 0, 2]]) / step[[1, 0, 2]]
    return dose[int(row), int(column), int(plane)]


np.random.seed(0)
truth = STRENGTH_U * CONSTANT * TIME_S / 3600 / 100
histogram = calculate_dvh(
    plan(0), structures(10, 0.5), DvhControlParameters(max_dose=50, number_of_bins=500, number_of_points=2000)
)[0][1]
middle = histogram.bin_edges[np.searchsorted(-histogram.cumulative_dvh, -histogram.cumulative_dvh[0] / 2)]
line = (
    f"dose 10 mm beside the source, by strength, constant and time {truth:.1f} Gy; middle of a target there by its "
    f"histogram {middle:.1f} Gy; on the grid {on_grid(0):.1f} Gy, of a source at x 60 mm {on_grid(60):.1f} Gy"
)
print(line)
expected = (
    "dose 10 mm beside the source, by strength, constant and time 12.4 Gy; middle of a target there by its histogram "
    "12.4 Gy; on the grid 0.1 Gy, of a source at x 60 mm 0.0 Gy"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
