#!/usr/bin/env bash
# DCMTK 3.6.7 (Debian 12's packages dcmtk and libdcmtk17), pydicom 3.0.2, numpy 2.4.6. Needs apt-get with Debian 12's
# lists.
# Behaviour: dcmscale +C cuts a rectangle out of an image without scaling, and changes PixelSpacing as if the whole
# image had been scaled to the rectangle's size: 64 columns of 0.5 mm cut to 16 become columns of 2 mm.
# ImagePositionPatient still names the uncut image's corner. Lengths are four times too large, and the piece lies
# elsewhere.
# Expected: the same spacing, and the position of the rectangle's corner.
# Seen: "16 x 16 of 64 x 64 pixels of 0.5 mm: spacing 2.0 mm; the corner at 10, 10 mm is given as 0, 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$place"
apt-get download --quiet=2 'dcmtk=3.6.7*' 'libdcmtk17=3.6.7*' libtiff6 libpng16-16 libxml2 libwebp7 libzstd1 liblzma5 \
    liblerc4 libjbig0 libjpeg62-turbo libdeflate0 libicu72
for package in *.deb; do dpkg -x "$package" root; done
library="$(dirname "$(find root/usr/lib -name libdcmdata.so.17)")"
export LD_LIBRARY_PATH="$place/$library" DCMDICTPATH="$place/root/usr/share/libdcmtk17/dicom.dic"
export PATH="$place/root/usr/bin:$PATH"
"$place/env/bin/python" - <<'PYTHON'
import subprocess
import sys

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

made = Dataset()
made.file_meta = FileMetaDataset()
made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
made.PatientID = made.PatientName = "P"
made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = ""
made.Modality, made.Manufacturer, made.InstanceNumber, made.SliceThickness = "CT", "M", 1, 1
made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 64, 64, 1, "MONOCHROME2"
made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
made.PixelSpacing, made.ImageOrientationPatient, made.ImagePositionPatient = [0.5, 0.5], [1, 0, 0, 0, 1, 0], [0, 0, 0]
made.RescaleSlope, made.RescaleIntercept = "1", "0"
pixels = np.zeros((64, 64), "<u2")
pixels[20, 20] = 1000
made.PixelData = pixels.tobytes()
made["PixelData"].VR = "OW"
made.save_as("whole.dcm", enforce_file_format=True)

said = subprocess.run(["dcmscale", "--version"], capture_output=True, text=True, check=True).stdout
subprocess.run(["dcmscale", "+C", "20", "20", "16", "16", "whole.dcm", "piece.dcm"], check=True)
piece = dcmread("piece.dcm")
corner = int(piece.pixel_array[0, 0])  # the bright pixel, at 10, 10 mm
spacing, position = float(piece.PixelSpacing[0]), [float(value) for value in piece.ImagePositionPatient[:2]]
print(
    f"16 x 16 of 64 x 64 pixels of 0.5 mm: spacing {spacing} mm; "
    f"the corner at 10, 10 mm is given as {position[0]:g}, {position[1]:g}"
)
sys.exit(not ("3.6.7" in said and piece.Rows == 16 and corner == 1000 and spacing == 2.0 and position == [0, 0]))
PYTHON
