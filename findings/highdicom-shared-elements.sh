#!/usr/bin/env bash
# highdicom 0.28.2, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: Segmentation takes over the DataElement objects of the patient and study of its source images: a new value
# for the segmentation's PatientID (as when a pseudonym is undone before it is sent) is also the source's from then on.
# Expected: the segmentation has elements of its own; the source images stay as they were.
# Seen: "source PatientID: 'P' before, 'Q' after the segmentation's was set to 'Q'"
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

source = Dataset()
source.file_meta = FileMetaDataset()
source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID = CTImageStorage
source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID = generate_uid()
source.StudyInstanceUID, source.SeriesInstanceUID, source.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
source.PatientID = source.PatientName = "P"
source.PatientBirthDate = source.PatientSex = source.StudyDate = source.StudyTime = ""
source.AccessionNumber = source.StudyID = source.ReferringPhysicianName = ""
source.Modality, source.Manufacturer, source.InstanceNumber, source.SliceThickness = "CT", "M", 1, 1
source.Rows, source.Columns, source.SamplesPerPixel, source.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
source.BitsAllocated, source.BitsStored, source.HighBit, source.PixelRepresentation = 16, 12, 11, 0
source.PixelSpacing, source.ImageOrientationPatient, source.ImagePositionPatient = [1, 1], [1, 0, 0, 0, 1, 0], [0, 0, 0]
source.PixelData = np.zeros((16, 16), "<u2").tobytes()
source["PixelData"].VR = "OW"

tissue = highdicom.sr.CodedConcept("85756007", "SCT", "Tissue")
described = highdicom.seg.SegmentDescription(1, "a", tissue, tissue, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL)
mask = np.zeros((1, 16, 16), np.uint8)
mask[0, 2, 2] = 1
before = str(source.PatientID)
segmentation = highdicom.seg.Segmentation(
    [source], mask, "BINARY", [described], generate_uid(), 1, generate_uid(), 1, "M", "model", "1", "serial"
)
segmentation.PatientID = "Q"
print(f"source PatientID: {before!r} before, {str(source.PatientID)!r} after the segmentation's was set to 'Q'")
sys.exit((before, source.PatientID) != ("P", "Q"))
PYTHON
