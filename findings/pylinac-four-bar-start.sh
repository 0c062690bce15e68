#!/usr/bin/env bash
# pylinac 3.49.0, pydicom 2.4.5, numpy 2.4.6.
# Behaviour: FourBarResolution fits two peaks to a profile in mm, and begins where they are in pixels. With pixels of
# 1 mm that is the same. With any others the fit begins beside the lines and ends there: the resolution of a camera
# that is 8.2 mm is 1.4 mm with pixels of 0.6 mm and 5.5 mm with pixels of 1.2 mm, and pixels that are right are 40 %
# too small or 33 % too large. Nothing warns.
# Expected: a width at half height of 8.24 mm, 2.355 times the deviation of the lines, and a difference of 0 %, as
# with 1 mm.
# Seen: "resolution and difference of the size of pixels, pixels of 1 mm: 8.2 mm, 0 %; of 0.6 mm: 1.4 mm, -40 %; of
# 0.9 mm: 4.3 mm, -16 %; of 1.2 mm: 5.5 mm, 33 %"
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
from pylinac.nuclear import FourBarResolution


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
    """Return the resolution and the difference of the size of pixels for lines 100 mm apart, 3.5 mm of deviation."""
    row, column = grid(pixel_mm)

    def lines(across, along):
        peaks = sum(np.exp(-(((across - place) / 3.5) ** 2) / 2) for place in (-50, 50))
        return np.where(abs(along) < 40, peaks, 0)

    write(5000 * (lines(row, column) + lines(column, row)), pixel_mm)
    bars = FourBarResolution("camera.dcm")
    bars.analyze(separation_mm=100)
    data = bars.results_data()
    return f"{data.x_fwhm:.1f} mm, {round(data.x_pixel_size_difference)} %"


line = (
    f"resolution and difference of the size of pixels, pixels of 1 mm: {found(1)}; of 0.6 mm: {found(0.6)}; of 0.9 mm: "
    f"{found(0.9)}; of 1.2 mm: {found(1.2)}"
)
print(line)
expected = (
    "resolution and difference of the size of pixels, pixels of 1 mm: 8.2 mm, 0 %; of 0.6 mm: 1.4 mm, -40 %; of 0.9 "
    "mm: 4.3 mm, -16 %; of 1.2 mm: 5.5 mm, 33 %"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
