#!/usr/bin/env bash
# dicom-anonymizer 2.1.0, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: attributes that its list says to replace are replaced at the top of a file and in sequences that the list
# names, too. In all other sequences they stay as they are, and those hold what differs by frame or by injection: of an
# Enhanced CT the day and time of each frame, its comments and the UID of the source image stay, of a PET the day of the
# injection, beside a study date of 00010101. Nothing warns.
# Expected: the profile of PS3.15 Annex E, which the package is for, holds at every level of nesting.
# Seen: "StudyDate 00010101; FrameAcquisitionDateTime 20200102030405; FrameComments P^Q, born 1950;
# ReferencedSOPInstanceUID as it was; RadiopharmaceuticalStartDateTime 20200102020000; OperatorsName in a sequence of
# the list ANONYMIZED"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicom-anonymizer==2.1.0 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from dicomanonymizer import anonymize_dataset
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid


def item(**values):
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


source = generate_uid()
made = item(StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(), SOPInstanceUID=generate_uid())
made.file_meta = FileMetaDataset()
made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = EnhancedCTImageStorage
made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
made.PatientName, made.PatientID, made.StudyDate, made.Modality = "P^Q", "77", "20200102", "CT"
made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 4, 1, "MONOCHROME2"
made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation, made.NumberOfFrames = 16, 16, 15, 1, 1
made.PixelData = np.zeros((4, 4), "<i2").tobytes()
reference = item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=source)
frame = item(
    FrameContentSequence=[item(FrameAcquisitionDateTime="20200102030405", FrameComments="P^Q, born 1950")],
    DerivationImageSequence=[item(SourceImageSequence=[reference])],
)
made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [Dataset()], [frame]
made.RadiopharmaceuticalInformationSequence = [item(RadiopharmaceuticalStartDateTime="20200102020000")]
made.ContentSequence = [item(OperatorsName="P^Q")]
anonymize_dataset(made)

frame = made.PerFrameFunctionalGroupsSequence[0]
content = frame.FrameContentSequence[0]
referenced = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
line = (
    f"StudyDate {made.StudyDate}; FrameAcquisitionDateTime {content.FrameAcquisitionDateTime}; "
    f"FrameComments {content.FrameComments}; "
    f"ReferencedSOPInstanceUID {'as it was' if referenced == source else 'new'}; "
    "RadiopharmaceuticalStartDateTime "
    f"{made.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime}; "
    f"OperatorsName in a sequence of the list {made.ContentSequence[0].OperatorsName}"
)
print(line)
expected = (
    "StudyDate 00010101; FrameAcquisitionDateTime 20200102030405; FrameComments P^Q, born 1950; "
    "ReferencedSOPInstanceUID as it was; RadiopharmaceuticalStartDateTime 20200102020000; OperatorsName in a sequence "
    "of the list ANONYMIZED"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
