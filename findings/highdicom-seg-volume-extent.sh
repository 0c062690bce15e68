#!/usr/bin/env bash
# highdicom 0.28.2, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: a BINARY SEG is made for four source slices, with a mask on the second only. Empty frames are left out when
# it is written, and Segmentation.get_volume() then gives a volume of one slice, at that slice's place: its array has
# another shape than the source's. The volume also runs from head to foot, so the source's own volume has slice 0 on top.
# Expected: a volume on the grid of the source.
# Seen: "source (4, 16, 16) begins at z = 3, mask (1, 16, 16) at z = 1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import highdicom
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def slice_at(position, number, orientation=(1, 0, 0, 0, 1, 0)):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = ""
    made.AccessionNumber = made.StudyID = made.ReferringPhysicianName = ""
    made.Modality, made.Manufacturer, made.InstanceNumber, made.SliceThickness = "CT", "M", number, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelSpacing, made.ImageOrientationPatient, made.ImagePositionPatient = [1, 1], list(orientation), position
    made.PixelData = np.full((16, 16), number, "<u2").tobytes()
    made["PixelData"].VR = "OW"
    return made


source = [slice_at([0, 0, number], number + 1) for number in range(4)]
mask = np.zeros((4, 16, 16), np.uint8)
mask[1, 2:4, 2:5] = 1
tissue = highdicom.sr.CodedConcept("85756007", "SCT", "Tissue")
described = highdicom.seg.SegmentDescription(1, "a", tissue, tissue, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL)
made = highdicom.seg.Segmentation(
    source, mask, "BINARY", [described], generate_uid(), 1, generate_uid(), 1, "M", "model", "1", "serial"
)
whole, part = highdicom.get_volume_from_series(source), made.get_volume()
tops = [float(volume.affine[2, 3]) for volume in (whole, part)]
print(f"source {whole.spatial_shape} begins at z = {tops[0]:.0f}, mask {part.spatial_shape} at z = {tops[1]:.0f}")
sys.exit((whole.spatial_shape, part.spatial_shape, tops) != ((4, 16, 16), (1, 16, 16), [3.0, 1.0]))
PYTHON
