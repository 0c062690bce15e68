#!/usr/bin/env bash
# dicom2nifti 2.6.2, pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6, scipy 1.17.1.
# Behaviour: of an Enhanced CT the rescale is applied where every frame has its own and left out where all share one,
# which is the shorter way to say the same: Hounsfield units are what is stored. And each frame is laid at the place
# that InStackPositionNumber gives, under an affine from the first frame in the file to the last: where the frames are
# stored from head to foot and numbered from foot to head, the image is mirrored, its lowest slice at the top. With
# numpy 2 a whole slope overflows 16 bits: 3000 times 20 is -5536. No more is said than a RuntimeWarning of that.
# Expected: the same values either way, each at the position of its frame (PS3.3 C.7.6.16: a functional group that is
# the same for all frames may be shared, and positions in a stack need not follow the frames).
# Seen: "rescale of each frame: the lowest slice is 0 HU at z = 0; shared: 2048 HU at z = 0; frames from head to foot: 0
# HU at z = 8; frames of 3000 with a slope of 20: -5536, of 4000: 14464"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicom2nifti==2.6.2 pydicom==3.0.2 nibabel==5.4.2 \
    numpy==2.4.6 scipy==1.17.1
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from pathlib import Path

import dicom2nifti
import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid


def item(**values):
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def convert(name, places, shared, rescale, values):
    """Convert slices of 2 mm, each stored as its value, whose places count from foot to head."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = EnhancedCTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "CT", "M", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.NumberOfFrames = len(places)
    common = item(
        PixelMeasuresSequence=[item(PixelSpacing=[1, 1], SliceThickness=2)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
    )
    frames = [
        item(
            FrameContentSequence=[item(StackID="1", InStackPositionNumber=place + 1, DimensionIndexValues=[place + 1])],
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 2 * place])],
        )
        for place in places
    ]
    for holder in [common] if shared else frames:
        holder.PixelValueTransformationSequence = [rescale]
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [common], frames
    made.PixelData = np.stack([np.full((8, 8), values[place], "<i2") for place in places]).tobytes()
    made["PixelData"].VR = "OW"
    folder = Path(name)
    folder.mkdir()
    made.save_as(folder / "enhanced.dcm", enforce_file_format=True)
    dicom2nifti.dicom_series_to_nifti(folder, f"{name}.nii.gz", reorient_nifti=False)
    image = nibabel.load(f"{name}.nii.gz")
    return np.asarray(image.dataobj)[0, 0], image.affine[2]


def lowest(name, places, shared):
    """Where a slice of 0 HU at z = 0 is, and how dense: of five slices each has 100 HU more."""
    rescale = item(RescaleSlope="0.5", RescaleIntercept="-1024", RescaleType="HU")
    values, z = convert(name, places, shared, rescale, [2048, 2248, 2448, 2648, 2848])
    at = int(np.argmin(values))
    return f"{values[at]:g} HU at z = {z @ [0, 0, at, 1]:g}"


def activity(stored):
    rescale = item(RescaleSlope="20", RescaleIntercept="0", RescaleType="US")
    return convert(f"times{stored}", range(4), False, rescale, [stored] * 4)[0][0]


line = (
    f"rescale of each frame: the lowest slice is {lowest('own', [0, 1, 2, 3, 4], False)}; "
    f"shared: {lowest('shared', [0, 1, 2, 3, 4], True)}; "
    f"frames from head to foot: {lowest('turned', [4, 3, 2, 1, 0], False)}; "
    f"frames of 3000 with a slope of 20: {activity(3000)}, of 4000: {activity(4000)}"
)
print(line)
expected = (
    "rescale of each frame: the lowest slice is 0 HU at z = 0; shared: 2048 HU at z = 0; frames from head to "
    "foot: 0 HU at z = 8; frames of 3000 with a slope of 20: -5536, of 4000: 14464"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
