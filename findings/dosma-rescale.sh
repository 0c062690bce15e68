#!/usr/bin/env bash
# dosma 0.1.2, pydicom 2.4.5, numpy 1.26.4, scipy 1.13.1, nibabel 5.3.2, scikit-image 0.24.0. Pmw, for its windows, is
# not installed.
# Behaviour: DicomReader returns the stored numbers, without RescaleSlope and RescaleIntercept: water of a CT is 1024.
# In an MR whose echoes have slopes of their own, as some makers write them, the fitted T2 is that of the stored
# numbers: 65 ms for 40 ms, with an r2 of 1.00. Nothing warns.
# Expected: stored value times slope plus intercept (PS3.3 C.11.1.1.2).
# Seen: "water of a CT: 1024; echoes of 779, 472, 287, 174: 2596, 1889, 1433, 1022; T2 65 ms, r2 1.00, for 40 ms from
# the rescaled"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 pydicom==2.4.5 nibabel==5.3.2 \
    scipy==1.13.1 scikit-image==0.24.0 pandas==2.2.3 matplotlib==3.9.4 seaborn==0.13.2 natsort==8.4.0 \
    nested-lookup==0.2.25 tabulate==0.10.0 termcolor==3.3.0 tqdm==4.70.1 PyYAML==6.0.4 openpyxl==3.1.5 h5py==3.16.0 \
    nipype==1.8.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps dosma==0.1.2
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import tempfile

import numpy as np
from dosma import DicomReader, MedicalVolume, MonoExponentialFit
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

ECHOES, SLOPES = [10.0, 30.0, 50.0, 70.0], [0.3, 0.25, 0.2, 0.17]  # ms


def read(value, slope, intercept):
    """Return a volume of two slices of one stored value, as dosma reads it."""
    folder, study, series = tempfile.mkdtemp(dir="."), generate_uid(), generate_uid()
    for number in range(2):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.PatientID, made.Modality = study, series, "P", "CT"
        made.SeriesNumber, made.InstanceNumber, made.SliceThickness = 1, number + 1, 3
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.PixelSpacing, made.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
        made.ImagePositionPatient = [0, 0, 3 * number]
        made.RescaleSlope, made.RescaleIntercept = str(slope), str(intercept)
        made.PixelData = np.full((8, 8), value, "<u2").tobytes()
        made["PixelData"].VR = "OW"
        made.is_little_endian, made.is_implicit_VR = True, False
        made.save_as(f"{folder}/{number}.dcm", write_like_original=False)
    return DicomReader(group_by=None).load(folder)[0]


def fit(volumes, slopes):
    """Return T2 and r2 of the volumes times the slopes."""
    plain = [MedicalVolume(volume.volume * slope, volume.affine) for volume, slope in zip(volumes, slopes)]
    times, quality = MonoExponentialFit(tc0=30.0, decimal_precision=3).fit(ECHOES, plain)
    return times.volume.mean(), quality.volume.mean()


signals = [1000 * np.exp(-echo / 40) for echo in ECHOES]
volumes = [read(round(signal / slope), slope, 0) for signal, slope in zip(signals, SLOPES)]
(time, quality), (true, _) = fit(volumes, [1.0] * 4), fit(volumes, SLOPES)
line = (
    f"water of a CT: {read(1024, 1, -1024).volume.mean():g}; echoes of {', '.join(f'{s:.0f}' for s in signals)}: "
    f"{', '.join(f'{volume.volume.mean():g}' for volume in volumes)}; T2 {time:.0f} ms, r2 {quality:.2f}, "
    f"for {true:.0f} ms from the rescaled"
)
print(line)
expected = (
    "water of a CT: 1024; echoes of 779, 472, 287, 174: 2596, 1889, 1433, 1022; T2 65 ms, r2 1.00, for 40 ms from the "
    "rescaled"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
