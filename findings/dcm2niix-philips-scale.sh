#!/usr/bin/env bash
# dcm2niix 1.0.20260724, pydicom 3.0.2, SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6.
# Behaviour: for Philips MR dcm2niix does not apply RescaleSlope and RescaleIntercept but the private scale slope
# (2005,100E), which gives other numbers (the value divided by both slopes), unless it is called with -p n. Readers of
# DICOM (pydicom, SimpleITK) apply the rescale. A hospital that converts first and one that does not train on different
# grey values.
# Expected: the values of the standard's attributes.
# Seen: "stored 1000, slope 2, intercept 5, scale slope 0.25: pydicom 2005, SimpleITK 2005, dcm2niix 4010, with -p n
# 2005"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dcm2niix==1.0.20260724 pydicom==3.0.2 SimpleITK==2.5.7 \
    nibabel==5.4.2 numpy==2.4.6
cd "$place"
PATH="$place/env/bin:$PATH" "$place/env/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

Path("mr").mkdir()
for number in range(3):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MRImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = ""
    made.Modality, made.Manufacturer, made.PatientPosition = "MR", "Philips Medical Systems", "HFS"
    made.SeriesNumber, made.InstanceNumber, made.SliceThickness = 1, number + 1, 3
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelSpacing, made.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient = [0, 0, 3 * number]
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = "2", "5", "normalized"
    block = made.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0D, "FL", 0.0)
    block.add_new(0x0E, "FL", 0.25)
    made.PixelData = np.full((16, 16), 1000, "<u2").tobytes()
    made["PixelData"].VR = "OW"
    made.save_as(f"mr/{number}.dcm", enforce_file_format=True)


def converted(name, *options):
    subprocess.run(
        ["dcm2niix", "-z", "n", "-f", name, *options, "-o", ".", "mr"], check=True, stdout=subprocess.DEVNULL
    )
    return float(nibabel.load(f"{name}.nii").get_fdata()[0, 0, 0])


again = dcmread("mr/0.dcm")
read = float(apply_modality_lut(again.pixel_array, again)[0, 0])
other = float(sitk.GetArrayFromImage(sitk.ReadImage("mr/0.dcm"))[0, 0, 0])
usual, plain = converted("usual"), converted("plain", "-p", "n")
print(
    "stored 1000, slope 2, intercept 5, scale slope 0.25: "
    f"pydicom {read:g}, SimpleITK {other:g}, dcm2niix {usual:g}, with -p n {plain:g}"
)
sys.exit((read, other, usual, plain) != (2005, 2005, 4010, 2005))
PYTHON
