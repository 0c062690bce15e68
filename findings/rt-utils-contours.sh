#!/usr/bin/env bash
# rt-utils 1.2.7, dcmrtstruct2nii 5, pydicom 2.4.4, numpy 1.26.4, opencv-python-headless 4.11.0.86, scikit-image 0.26.0,
# SimpleITK 2.5.7.
# Behaviour: rt-utils writes a mask as an RTSTRUCT whose contours run through the centres of the outermost pixels, not
# round them: half a pixel is lost on every side. The area inside a contour, by which a planning system measures, is 81
# for a square of 100 pixels and 4 for one of 9. A ring is written as two contours, and the inner one runs through
# pixels of the ring, too. rt-utils' own reader fills the pixels below a contour, so its round trip gives the mask back;
# dcmrtstruct2nii, which asks for pixels inside, loses 40 of a ring's 300, and half of a line.
# Expected: contours along the pixels' edges, and the same mask in every reader.
# Seen: "square of 100: area 81, rt-utils reads 100, dcmrtstruct2nii 100; square of 9: area 4, rt-utils reads 9,
# dcmrtstruct2nii 9; line of 4: area 0, rt-utils reads 4, dcmrtstruct2nii 2; ring of 300: area 242, rt-utils reads 300,
# dcmrtstruct2nii 260"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==2.4.4 numpy==1.26.4 scikit-image==0.26.0 \
    SimpleITK==2.5.7 opencv-python-headless==4.11.0.86 termcolor==3.1.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps rt-utils==1.2.7 dcmrtstruct2nii==5
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import contextlib
import io
import logging
import sys
from pathlib import Path

import numpy as np
import SimpleITK
from dcmrtstruct2nii import dcmrtstruct2nii
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from rt_utils import RTStructBuilder

logging.disable(logging.WARNING)
study, series, frame = generate_uid(), generate_uid(), generate_uid()
Path("scan").mkdir()
for place in range(3):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
    made.PatientID = made.PatientName = "P"
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = ""
    made.Modality, made.SeriesNumber, made.InstanceNumber, made.SliceThickness = "CT", 1, place + 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 40, 40, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelSpacing, made.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient, made.SliceLocation = [0, 0, place], place
    made.PixelData = np.zeros((40, 40), "<u2").tobytes()
    made.is_little_endian, made.is_implicit_VR = True, False
    made.save_as(f"scan/{place}.dcm", write_like_original=False)

masks = {name: np.zeros((40, 40, 3), bool) for name in ("square of 100", "square of 9", "line of 4", "ring of 300")}
masks["square of 100"][5:15, 5:15, 1] = True
masks["square of 9"][5:8, 5:8, 1] = True
masks["line of 4"][5, 5:9, 1] = True
masks["ring of 300"][5:25, 5:25, 1] = True
masks["ring of 300"][10:20, 10:20, 1] = False


def inside(contour):
    x, y = np.array(contour.ContourData, float).reshape(-1, 3)[:, :2].T
    return abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2


with contextlib.redirect_stdout(io.StringIO()):
    written = RTStructBuilder.create_new(dicom_series_path="scan")
    for name, mask in masks.items():
        written.add_roi(mask=mask, name=name)
    written.save("structures.dcm")
    read = RTStructBuilder.create_from(dicom_series_path="scan", rt_struct_path="structures.dcm")
    dcmrtstruct2nii(
        "structures.dcm", "scan", "out", mask_background_value=0, mask_foreground_value=1, convert_original_dicom=False
    )
seen = {}
for (name, mask), one in zip(masks.items(), dcmread("structures.dcm").ROIContourSequence, strict=True):
    areas = [inside(contour) for contour in one.ContourSequence]  # a second contour is a hole
    area = areas[0] - sum(areas[1:])
    (other,) = Path("out").glob(f"mask_{name.replace(' ', '*')}.nii*")
    peer = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(other))).sum()
    seen[name] = (round(float(area)), int(read.get_roi_mask_by_name(name).sum()), int(peer))
print("; ".join(f"{name}: area {a}, rt-utils reads {own}, dcmrtstruct2nii {peer}" for name, (a, own, peer) in seen.items()))
sys.exit(
    seen
    != {
        "square of 100": (81, 100, 100),
        "square of 9": (4, 9, 9),
        "line of 4": (0, 4, 2),
        "ring of 300": (242, 300, 260),
    }
)
PYTHON
