#!/usr/bin/env bash
# pylinac 3.49.0, pydicom 2.4.5, numpy 2.4.6.
# Behaviour: QuadrantResolution takes the diameter of its regions and their distance from the middle in mm, and uses
# both as pixels, the diameter as the radius. Regions of 70 mm at 130 mm are 168 mm wide and at 156 mm with pixels of
# 1.2 mm, and reach out of the phantom: bars with a contrast of 0.3 have a modulation of 0.8, and the resolution of
# 4.6 mm is 1.8 mm. With small pixels the regions stay within the bars, beside their place.
# Expected: 0.30 and 4.6 mm, with any pixels.
# Seen: "modulation, resolution, and place and width of the region, pixels of 0.8 mm: 0.30, 4.6 mm, 104 mm, 112 mm; of
# 1 mm: 0.30, 4.6 mm, 130 mm, 140 mm; of 1.2 mm: 0.83, 1.8 mm, 156 mm, 168 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pylinac==3.49.0 pydicom==2.4.5 numpy==2.4.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, NuclearMedicineImageStorage, generate_uid
from pylinac.nuclear import QuadrantResolution


def write(counts, pixel_mm):
    """Write a picture of a gamma camera as DICOM."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = NuclearMedicineImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.Modality, made.PatientID, made.ImageType = "NM", "P", ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    made.Rows, made.Columns = counts.shape
    made.NumberOfFrames, made.PixelSpacing = 1, [pixel_mm, pixel_mm]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = counts.round().astype(np.uint16).tobytes()
    made.is_little_endian, made.is_implicit_VR = True, False
    made.save_as("camera.dcm", write_like_original=False)


def grid(pixel_mm):
    """Return the places of the pixels of a field of 614 mm, from its middle, in mm."""
    along = (np.arange(round(614.4 / pixel_mm)) - round(614.4 / pixel_mm) / 2 + 0.5) * pixel_mm
    return np.meshgrid(along, along, indexing="ij")


def found(pixel_mm):
    """Return modulation and resolution of the bars of 4 mm, and where and how wide their region is."""
    row, column = grid(pixel_mm)
    counts = np.zeros(row.shape)
    for width, down, right in ((4, 1, 1), (5, -1, 1), (6, -1, -1), (8, 1, -1)):
        quadrant = (np.sign(row) == down) & (np.sign(column) == right) & (np.hypot(row, column) < 200)
        counts[quadrant] = 1000 * (1 + 0.3 * np.cos(np.pi * column[quadrant] / width))
    write(np.random.default_rng(0).poisson(counts), pixel_mm)
    bars = QuadrantResolution("camera.dcm")
    bars.analyze((4, 5, 6, 8), roi_diameter_mm=70, distance_from_center_mm=130)
    first, region = bars.results_data().quadrants["1"], bars.rois[4]
    away = pixel_mm * np.hypot(region.center.x - row.shape[1] / 2, region.center.y - row.shape[0] / 2)
    return f"{first['mtf']:.2f}, {first['fwhm']:.1f} mm, {away:.0f} mm, {2 * region.radius * pixel_mm:.0f} mm"


line = (
    f"modulation, resolution, and place and width of the region, pixels of 0.8 mm: {found(0.8)}; of 1 mm: {found(1)}; "
    f"of 1.2 mm: {found(1.2)}"
)
print(line)
expected = (
    "modulation, resolution, and place and width of the region, pixels of 0.8 mm: 0.30, 4.6 mm, 104 mm, 112 mm; of 1 "
    "mm: 0.30, 4.6 mm, 130 mm, 140 mm; of 1.2 mm: 0.83, 1.8 mm, 156 mm, 168 mm"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
