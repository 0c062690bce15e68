#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), highdicom 0.28.2, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: an Enhanced MR object has a rescale slope and a position for every frame. ITK applies the first frame's
# slope to all frames. Where frames are not stored in spatial order it keeps the stored order and makes the voxels 1 x 1
# x 1 mm, although the header has all positions and PixelSpacing. Nothing warns. highdicom reads both right.
# Expected: each frame by its own slope, sorted or refused.
# Seen: "slopes 1, 2, 3, 4: stored 1000 reads as 1000, 1000, 1000, 1000 (highdicom 1000, 2000, 3000, 4000); 1.5 x 1.5 x
# 4 mm become 1.5 x 1.5 x 4 in order, 1 x 1 x 1 out of order (highdicom 1.5 x 1.5 x 4)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import highdicom
import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid


def item(**elements):
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def frame(place):
    """Describe a frame 4 mm above the last, whose slope is its number from the bottom."""
    return item(
        PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 4 * place])],
        FrameContentSequence=[item(StackID="1", InStackPositionNumber=place + 1, DimensionIndexValues=[place + 1])],
        PixelValueTransformationSequence=[
            item(RescaleSlope=str(place + 1), RescaleIntercept="0", RescaleType="US")
        ],
    )


def save(order):
    made = item(PatientID="P", PatientName="P", Modality="MR", Manufacturer="M", InstanceNumber=1, SeriesNumber=1)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = EnhancedMRImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = ""
    made.ImageType, made.PatientPosition = ["ORIGINAL", "PRIMARY", "M", "NONE"], "HFS"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.NumberOfFrames = len(order)
    made.DimensionOrganizationSequence = [item(DimensionOrganizationUID="1.2.3.9")]
    made.DimensionIndexSequence = [
        item(
            DimensionOrganizationUID="1.2.3.9",
            DimensionIndexPointer=0x00209057,  # InStackPositionNumber
            FunctionalGroupPointer=0x00209111,  # FrameContentSequence
        )
    ]
    made.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            PixelMeasuresSequence=[item(PixelSpacing=[1.5, 1.5], SliceThickness=4)],
        )
    ]
    made.PerFrameFunctionalGroupsSequence = [frame(place) for place in order]
    made.PixelData = np.full((len(order), 16, 16), 1000, "<u2").tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("frames.dcm", enforce_file_format=True)


def read(order):
    """Return SimpleITK's values and voxel size, and highdicom's, from the bottom up."""
    save(order)
    image, volume = sitk.ReadImage("frames.dcm"), highdicom.imread("frames.dcm").get_volume()
    up = volume.array[:: 1 if volume.affine[2, 0] > 0 else -1, 0, 0]
    return [
        (values.astype(int).tolist(), " x ".join(f"{size:g}" for size in sizes))
        for values, sizes in (
            (sitk.GetArrayFromImage(image)[:, 0, 0], image.GetSpacing()),
            (up, volume.spacing[::-1]),
        )
    ]


(sorted_values, sorted_size), (right, size) = read([0, 1, 2, 3])
(_, mixed_size), (right_too, size_too) = read([2, 0, 3, 1])
print(
    f"slopes 1, 2, 3, 4: stored 1000 reads as {', '.join(map(str, sorted_values))} (highdicom "
    f"{', '.join(map(str, right))}); {size} mm become {sorted_size} in order, {mixed_size} out of order "
    f"(highdicom {size_too})"
)
sys.exit(
    (sorted_values, sorted_size, mixed_size) != ([1000] * 4, "1.5 x 1.5 x 4", "1 x 1 x 1")
    or right != [1000, 2000, 3000, 4000]
    or (right_too, size_too) != (right, size)
)
PYTHON
