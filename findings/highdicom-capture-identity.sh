#!/usr/bin/env bash
# highdicom 0.28.2, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: from a de-identified source (PatientIdentityRemoved YES) Segmentation copies that statement, and
# SCImage.from_ref_dataset does not: the picture of the same result says nothing about its identity.
# Expected: both copy the patient module whole.
# Seen: "PatientIdentityRemoved: segmentation YES, secondary capture None"
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


source = slice_at([0, 0, 0], 1)
source.PatientIdentityRemoved, source.DeidentificationMethod = "YES", "made up"
tissue = highdicom.sr.CodedConcept("85756007", "SCT", "Tissue")
described = highdicom.seg.SegmentDescription(1, "a", tissue, tissue, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL)
mask = np.zeros((1, 16, 16), np.uint8)
mask[0, 2, 2] = 1
segmentation = highdicom.seg.Segmentation(
    [source], mask, "BINARY", [described], generate_uid(), 1, generate_uid(), 1, "M", "model", "1", "serial"
)
capture = highdicom.sc.SCImage.from_ref_dataset(
    source, mask[0], "MONOCHROME2", 8, "PATIENT", generate_uid(), 1, generate_uid(), 1, "M", patient_orientation=("L", "P")
)
said = tuple(made.get("PatientIdentityRemoved") for made in (segmentation, capture))
print(f"PatientIdentityRemoved: segmentation {said[0]}, secondary capture {said[1]}")
sys.exit(said != ("YES", None))
PYTHON
