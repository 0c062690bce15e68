#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), pydicom 3.0.2, numpy 2.4.6, dcm2niix 1.0.20260724, nibabel 5.4.2.
# Behaviour: for CR, DX, mammography and angiography ITK takes ImagerPixelSpacing, the pixel's size on the detector,
# also where PixelSpacing gives the size in the patient (PixelSpacingCalibrationType GEOMETRY or FIDUCIAL, PS3.3 10.7).
# A length is then too large by the magnification. dcm2niix takes PixelSpacing of the same file.
# Expected: the calibrated spacing.
# Seen: "0.2 mm on the detector, calibrated to 0.1 mm: DX 0.2, CR 0.2, MG 0.2, XA 0.2 in SimpleITK; DX 0.1 in dcm2niix"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6 \
    dcm2niix==1.0.20260724 nibabel==5.4.2
cd "$place"
PATH="$place/env/bin:$PATH" "$place/env/bin/python" - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

KINDS = {
    "DX": uid.DigitalXRayImageStorageForPresentation,
    "CR": uid.ComputedRadiographyImageStorage,
    "MG": uid.DigitalMammographyXRayImageStorageForPresentation,
    "XA": uid.XRayAngiographicImageStorage,
}


def made(kind):
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = KINDS[kind]
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = uid.generate_uid()
    film.StudyInstanceUID, film.SeriesInstanceUID = uid.generate_uid(), uid.generate_uid()
    film.PatientID = film.PatientName = "P"
    film.PatientBirthDate = film.PatientSex = film.StudyDate = film.StudyTime = film.AccessionNumber = film.StudyID = ""
    film.Modality, film.Manufacturer, film.InstanceNumber, film.SeriesNumber = kind, "M", 1, 1
    film.ImagerPixelSpacing, film.PixelSpacing = [0.2, 0.2], [0.1, 0.1]
    film.PixelSpacingCalibrationType = "GEOMETRY"
    film.EstimatedRadiographicMagnificationFactor = 2
    film.Rows, film.Columns, film.SamplesPerPixel, film.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
    film.PixelData = np.full((16, 16), 7, "<u2").tobytes()
    film["PixelData"].VR = "OW"
    Path(kind).mkdir()
    film.save_as(f"{kind}/film.dcm", enforce_file_format=True)
    return float(sitk.ReadImage(f"{kind}/film.dcm").GetSpacing()[0])


read = {kind: made(kind) for kind in KINDS}
subprocess.run(["dcm2niix", "-z", "n", "-f", "film", "-o", ".", "DX"], check=True, stdout=subprocess.DEVNULL)
other = float(nibabel.load("film.nii").header.get_zooms()[0])
listed = ", ".join(f"{kind} {size:.1f}" for kind, size in read.items())
print(f"0.2 mm on the detector, calibrated to 0.1 mm: {listed} in SimpleITK; DX {other:.1f} in dcm2niix")
sys.exit(not (all(abs(size - 0.2) < 1e-6 for size in read.values()) and abs(other - 0.1) < 1e-6))
PYTHON
