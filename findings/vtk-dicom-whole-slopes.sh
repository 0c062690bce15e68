#!/usr/bin/env bash
# vtk-dicom 0.8.14 (Debian 12's package vtk-dicom-tools), pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6. Needs apt-get with
# Debian 12's lists, as root.
# Behaviour: dicomtonifti writes a series whose rescale slopes are whole numbers in the 16 bits in which it is stored,
# and cuts off what is beyond them: of PET slices of 20000, 40000, 90000 and 240000 Bq/ml all but the first are 32767,
# and a CT's metal of 58976 HU is too. With a slope of 10.5 instead of 10 the image is in floats and right. Nothing
# warns, and the manual names no limit.
# Expected: the values in floats, or in 32 bits.
# Seen: "slopes 10, 20, 30, 40: 20000, 32767, 32767, 32767 for 20000, 40000, 90000, 240000; slopes 10.5, 20.5, 30.5,
# 40.5: 21000, 41000, 91500, 243000 for 21000, 41000, 91500, 243000; a CT with an intercept of -1024: -1024, 0, 32767,
# 32767 for -1024, 0, 32976, 58976"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.6
cd "$place"
mkdir -p archives/partial
apt-get install --download-only --yes --no-install-recommends -o Dir::Cache::archives="$place/archives" \
    'vtk-dicom-tools=0.8.14*' > apt.log
for package in archives/*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH="$(find "$place/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)"
export LD_LIBRARY_PATH PATH="$place/root/usr/bin:$PATH"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid


def converted(name, kind, modality, stored, slopes, intercept):
    """Return the slices of dicomtonifti's image and what they should be."""
    folder = Path(name)
    folder.mkdir()
    for number, (value, slope) in enumerate(zip(stored, slopes)):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = kind
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
        made.PatientID = made.PatientName = "P"
        made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = modality, "M", 1, number + 1
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 6, 8, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
        made.PixelRepresentation = int(modality == "PT")
        made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [4, 4], 3, [1, 0, 0, 0, 1, 0]
        made.ImagePositionPatient = [0, 0, 3 * number]
        made.RescaleSlope, made.RescaleIntercept = str(slope), str(intercept)
        made.PixelData = np.full((6, 8), value, "<i2" if modality == "PT" else "<u2").tobytes()
        made["PixelData"].VR = "OW"
        made.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    subprocess.run(["dicomtonifti", "-o", f"{name}.nii", name], check=True)
    seen = nibabel.load(f"{name}.nii").get_fdata()[0, 0]
    right = [value * slope + intercept for value, slope in zip(stored, slopes)]
    return " for ".join(", ".join(f"{value:.0f}" for value in values) for values in (seen, right))


def pet(name, slopes):
    return converted(name, PositronEmissionTomographyImageStorage, "PT", [2000, 2000, 3000, 6000], slopes, 0)


version = subprocess.run(["dicomtonifti", "--version"], capture_output=True, text=True, check=True).stdout
line = (
    f"slopes 10, 20, 30, 40: {pet('whole', [10, 20, 30, 40])}; "
    f"slopes 10.5, 20.5, 30.5, 40.5: {pet('fraction', [10.5, 20.5, 30.5, 40.5])}; "
    f"a CT with an intercept of -1024: {converted('ct', CTImageStorage, 'CT', [0, 1024, 34000, 60000], [1] * 4, -1024)}"
)
print(line)
expected = (
    "slopes 10, 20, 30, 40: 20000, 32767, 32767, 32767 for 20000, 40000, 90000, 240000; slopes 10.5, 20.5, 30.5, 40.5: "
    "21000, 41000, 91500, 243000 for 21000, 41000, 91500, 243000; a CT with an intercept of -1024: -1024, 0, 32767, "
    "32767 for -1024, 0, 32976, 58976"
)
sys.exit(0 if line == expected and "0.8.14" in version else "this has changed")
PYTHON
