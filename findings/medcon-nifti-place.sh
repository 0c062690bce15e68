#!/usr/bin/env bash
# XMedCon 0.23.0 (Debian 12's packages medcon and libmdc3), pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6. Needs apt-get
# with Debian 12's lists.
# Behaviour: medcon writes a DICOM series to NIfTI without its place and orientation: both codes are 0. An axial series,
# a coronal one, that of a prone patient and one listed from head to foot give the same header and the same voxels.
# Readers fall back to the order of voxels: nibabel turns the axial series back to front, the prone one left to right,
# and the one listed downwards upside down. Nothing warns.
# Expected: the affine of the series, as dcm2niix writes it.
# Seen: "from one voxel to another 3 columns, 1 row and 2 planes on, mm to the right, front and top: axial -3, 1, 6 for
# -3, -1, 6; prone -3, 1, 6 for 3, 1, 6; downwards -3, 1, 6 for -3, -1, -6; coronal -3, 1, 6 for -3, -6, -1; codes 0, 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.6
cd "$place"
apt-get download --quiet=2 'medcon=0.23.0*' 'libmdc3=0.23.0*' libniftiio2 libznz3 libpng16-16 libglib2.0-0
for package in *.deb; do dpkg -x $package root; done
library="$(dirname "$(find root/usr/lib -name 'libmdc.so.3*' | head -n 1)")"
export LD_LIBRARY_PATH="$place/$library" PATH="$place/root/usr/bin:$PATH"
"$place/env/bin/python" - <<'PYTHON'
import subprocess
import sys
import tempfile

import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

stored = np.zeros((3, 4, 5), "<i2")  # planes, rows, columns
stored[0, 0, 0], stored[2, 1, 3] = 500, 1000


def steps(orientation, spacing=3):
    """Return the way from one voxel to the other by the file that medcon writes, and by the series; and the codes."""
    folder, study, series = tempfile.mkdtemp(dir="."), generate_uid(), generate_uid()
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(along_row, along_column) * spacing
    files = []
    for number, plane in enumerate(stored):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.PatientID, made.Modality = study, series, "P", "CT"
        made.SeriesNumber, made.InstanceNumber, made.SliceThickness = 1, number + 1, 3
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 5, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.PixelSpacing, made.ImageOrientationPatient = [1, 1], list(orientation)
        made.ImagePositionPatient = [float(value) for value in np.array([10, 20, 30]) + number * normal]
        made.RescaleSlope, made.RescaleIntercept = "1", "0"
        made.PixelData = plane.tobytes()
        made["PixelData"].VR = "OW"
        files.append(f"{folder}/{number}.dcm")
        made.save_as(files[-1], enforce_file_format=True)
    command = ["medcon", "-n", "-qc", "-w", "-stack3d", "-c", "nifti", "-o", f"{folder}/out", "-f", *files]
    subprocess.run(command, check=True, capture_output=True)
    image = nibabel.load(f"{folder}/out.nii")
    ends = [np.append(np.argwhere(image.get_fdata() == value)[0], 1) for value in (500, 1000)]
    way = (image.affine @ ends[1] - image.affine @ ends[0])[:3]
    true = (3 * along_row + along_column + 2 * normal) * [-1, -1, 1]  # DICOM has left and back
    said = "{:g}, {:g}, {:g} for {:g}, {:g}, {:g}".format(*way, *true)
    return said, f"{int(image.header['qform_code'])}, {int(image.header['sform_code'])}"


(axial, codes), (prone, _) = steps((1, 0, 0, 0, 1, 0)), steps((-1, 0, 0, 0, -1, 0))
(downwards, _), (coronal, _) = steps((1, 0, 0, 0, 1, 0), spacing=-3), steps((1, 0, 0, 0, 0, -1))
line = (
    "from one voxel to another 3 columns, 1 row and 2 planes on, mm to the right, front and top: "
    f"axial {axial}; prone {prone}; downwards {downwards}; coronal {coronal}; codes {codes}"
)
print(line)
expected = (
    "from one voxel to another 3 columns, 1 row and 2 planes on, mm to the right, front and top: axial -3, 1, 6 for "
    "-3, -1, 6; prone -3, 1, 6 for 3, 1, 6; downwards -3, 1, 6 for -3, -1, -6; coronal -3, 1, 6 for -3, -6, -1; codes "
    "0, 0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
