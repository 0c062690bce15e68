#!/usr/bin/env bash
# python-gdcm 3.2.6 (GDCM), pydicom 3.0.2, numpy 2.4.6.
# Behaviour: ImageChangeTransferSyntax to JPEG Extended (process 2 and 4) succeeds for an image of 12 bits stored in 16,
# and its frame's header says 16 bits a sample, where ITU-T T.81 (table B.2) allows 8 and 12. Nothing warns.
# Expected: 12 bits, or a refusal.
# Seen: "12 bits stored: the frame is SOF1 with 16 bits a sample"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check python-gdcm==3.2.6 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import sys

import gdcm
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

made = Dataset()
made.file_meta = FileMetaDataset()
made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MRImageStorage
made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
made.PatientID, made.Modality = "P", "MR"
made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 64, 48, 1, "MONOCHROME2"
made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
made.PixelData = (np.arange(64 * 48) % 4096).astype("<u2").tobytes()
made["PixelData"].VR = "OW"
made.save_as("plain.dcm", enforce_file_format=True)

reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
reader.SetFileName("plain.dcm")
assert reader.Read()
change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
change.SetInput(reader.GetImage())
assert change.Change()
writer.SetFile(reader.GetFile())
writer.SetImage(change.GetOutput())
writer.SetFileName("jpeg.dcm")
assert writer.Write()
frame = next(generate_frames(dcmread("jpeg.dcm").PixelData, number_of_frames=1))
precision = frame[frame.index(b"\xff\xc1") + 4]
print(f"12 bits stored: the frame is SOF1 with {precision} bits a sample")
sys.exit(precision != 16)
PYTHON
