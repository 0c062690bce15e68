#!/usr/bin/env bash
# dicom2nifti 2.6.2, pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6, scipy 1.17.1.
# Behaviour: slices are sorted by InstanceNumber, and where the position jumps a new time point begins. An MR series
# whose numbers follow the order of acquisition, first every other slice and then those between, thus becomes an image
# of two time points with half of the slices each and twice the spacing: the second half lies a slice off, and whoever
# takes the first time point, or the mean over time, has a coarse image of half the brain's slices. Each slice has a
# position of its own, and the series is one volume. The same slices numbered along their axis are right. Nothing warns;
# the documentation speaks of 4D for diffusion and functional MR.
# Expected: 10 slices of 2 mm: InstanceNumber is "a number that identifies this image" (PS3.3 C.7.6.1), no place or
# time.
# Seen: "numbered along the axis: (8, 8, 10), 2 mm, from foot to head 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; in the order of
# acquisition: (8, 8, 5, 2), 4 mm, at the first time 0, 2, 4, 6, 8, at the second 1, 3, 5, 7, 9"
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
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def save(folder, number, place):
    """One slice of 2 mm, whose pixels hold its place from foot to head."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MRImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "MR", "M", 1, number
    made.RepetitionTime, made.EchoTime, made.SliceThickness, made.SpacingBetweenSlices = 4000, 90, 2, 2
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelSpacing, made.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient = [0, 0, 2 * place]
    made.PixelData = np.full((8, 8), place, "<u2").tobytes()
    made["PixelData"].VR = "OW"
    made.save_as(folder / f"{place}.dcm", enforce_file_format=True)


def converted(name, places):
    folder = Path(name)
    folder.mkdir()
    for number, place in enumerate(places, start=1):
        save(folder, number, place)
    dicom2nifti.dicom_series_to_nifti(folder, f"{name}.nii.gz")
    image = nibabel.load(f"{name}.nii.gz")
    times = np.asarray(image.dataobj)[0, 0].reshape(image.shape[2], -1).T.astype(int).tolist()
    words = [", ".join(map(str, time)) for time in times]
    return f"{image.shape}, {image.header.get_zooms()[2]:g} mm, ", words


shape, words = converted("along", range(10))
line = f"numbered along the axis: {shape}from foot to head {words[0]}"
shape, words = converted("acquired", [0, 2, 4, 6, 8, 1, 3, 5, 7, 9])
line += f"; in the order of acquisition: {shape}at the first time {words[0]}, at the second {words[1]}"
print(line)
expected = (
    "numbered along the axis: (8, 8, 10), 2 mm, from foot to head 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; in the order of "
    "acquisition: (8, 8, 5, 2), 4 mm, at the first time 0, 2, 4, 6, 8, at the second 1, 3, 5, 7, 9"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
