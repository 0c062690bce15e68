#!/usr/bin/env bash
# pylinac 3.49.0, pydicom 2.4.5, numpy 2.4.6.
# Behaviour: PlanarUniformity of a gamma camera's flood image leaves out all pixels below 75 % of the mean, in the
# middle of the field, too, and grows the hole before it measures. A spot 6 cm wide that counts nothing, as behind a
# dead photomultiplier, leaves a uniformity of 1.2 %, as good as a camera without a fault, and one that counts half
# leaves 1.2 % in the central field; a spot that counts 80 % has 12 %. Neither results nor warnings name what was left
# out.
# Expected: a uniformity of 100 % for a spot without counts. NEMA NU 1 (intrinsic flood field uniformity) sets pixels
# below 75 % to zero at the edge of the useful field alone.
# Seen: "integral uniformity of the useful and the central field in %, spot that counts all 1.2, 1.2; 95 % 3.5, 3.5; 80
# % 12.0, 12.0; 50 % 4.1, 1.2; nothing 1.2, 1.1"
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
from pylinac.nuclear import PlanarUniformity


def uniformity(share):
    """Return the uniformities of a camera with a spot that counts a share of what it should."""
    row, column = np.mgrid[:64, :64]
    counts = np.where((abs(row - 31.5) < 24) & (abs(column - 31.5) < 28), 10000.0, 0.0)
    counts[(row - 32) ** 2 + (column - 32) ** 2 <= 5**2] *= share
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = NuclearMedicineImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.Modality, made.PatientID, made.ImageType = "NM", "P", ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    made.Rows, made.Columns, made.NumberOfFrames, made.PixelSpacing = 64, 64, 1, [6.4, 6.4]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = np.random.default_rng(0).poisson(counts).astype(np.uint16).tobytes()
    made.is_little_endian, made.is_implicit_VR = True, False
    made.save_as("flood.dcm", write_like_original=False)
    flood = PlanarUniformity("flood.dcm")
    flood.analyze()
    found = flood.results_data()["Frame 1"]
    return f"{found.ufov_integral_uniformity:.1f}, {found.cfov_integral_uniformity:.1f}"


line = (
    f"integral uniformity of the useful and the central field in %, spot that counts all {uniformity(1)}; 95 % "
    f"{uniformity(0.95)}; 80 % {uniformity(0.8)}; 50 % {uniformity(0.5)}; nothing {uniformity(0)}"
)
print(line)
expected = (
    "integral uniformity of the useful and the central field in %, spot that counts all 1.2, 1.2; 95 % 3.5, 3.5; 80 % "
    "12.0, 12.0; 50 % 4.1, 1.2; nothing 1.2, 1.1"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
