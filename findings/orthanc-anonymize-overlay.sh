#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's package orthanc), pydicom 3.0.2, numpy 2.4.6. Needs apt-get with Debian 12's lists, as
# root.
# Behaviour: `anonymize` leaves overlays in the image, in which some scanners write the patient's name, and the comment
# beside them, and writes that the Basic Profile of PS3.15-2021b was applied. The profile has both removed (Table E.1-1:
# Overlay Data and Overlay Comments, X). The day of a PET's injection stays as well, in its sequence, beside an empty
# study date. Nothing warns.
# Expected: neither is left, or another DeidentificationMethod.
# Seen: "StudyDate empty; OverlayComments P^Q, born 1950; all 64 dots of the overlay; injection 20200102020000; Orthanc
# 1.10.1 - PS 3.15-2021b Table E.1-1 Basic Profile"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$place"
mkdir -p archives/partial
apt-get install --download-only --reinstall --yes --no-install-recommends -o Dir::Cache::archives="$place/archives" \
    'orthanc=1.10.1*' 'libdcmtk17=3.6.7*' > apt.log
for package in archives/*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH="$(find "$place/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)"
export LD_LIBRARY_PATH DCMDICTPATH="$place/root/usr/share/libdcmtk17/dicom.dic"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import io
import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


@contextmanager
def orthanc():
    """Run an empty server, and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"HttpPort": port, "DicomServerEnabled": False, "StorageDirectory": "db", "IndexDirectory": "db"}
    Path("settings.json").write_text(json.dumps(settings))
    address = f"http://127.0.0.1:{port}"
    with open("server.log", "w") as log:
        server = subprocess.Popen(["root/usr/sbin/Orthanc", "settings.json"], stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                system = json.load(urlopen(f"{address}/system"))
                break
            except OSError:
                time.sleep(0.1)
        if system["Version"] != "1.10.1":
            sys.exit("this is another Orthanc")
        yield address
    finally:
        server.terminate()
        server.wait()


def keep(address, values, pixels, overlay=(), bits=16):
    """Store a CT slice of these attributes and pixels, and return what the server says of it."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID = (generate_uid() for _ in range(3))
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "CT", "M", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 1, len(pixels), 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, bits, bits - 1, 1
    made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [1, 1], 1, [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient, made.RescaleSlope, made.RescaleIntercept = [0, 0, 0], "1", "0"
    made.PixelData = (np.array([pixels]) & (2**bits - 1)).astype("<u2").tobytes()
    made["PixelData"].VR = "OW"
    for name, value in values.items():
        setattr(made, name, value)
    for tag, kind, value in overlay:
        made.add_new(tag, kind, value)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return json.load(urlopen(Request(f"{address}/instances", file.getvalue(), method="POST")))


overlay = [
    (0x60000010, "US", 8),
    (0x60000011, "US", 8),
    (0x60000040, "CS", "G"),
    (0x60000050, "SS", [1, 1]),
    (0x60000100, "US", 1),
    (0x60000102, "US", 0),
    (0x60003000, "OW", b"\xff" * 8),
    (0x60004000, "LT", "P^Q, born 1950"),
]
injection = Dataset()
injection.RadiopharmaceuticalStartDateTime = "20200102020000"
with orthanc() as address:
    kept = keep(
        address,
        {"PatientName": "P^Q", "StudyDate": "20200102", "RadiopharmaceuticalInformationSequence": [injection]},
        [0] * 8,
        overlay,
    )
    answer = urlopen(Request(f"{address}/instances/{kept['ID']}/anonymize", b"{}", method="POST")).read()
made = dcmread(io.BytesIO(answer))
dots = sum(byte.bit_count() for byte in made[0x60003000].value)
line = (
    f"StudyDate {made.StudyDate or 'empty'}; OverlayComments {made[0x60004000].value}; "
    f"all {dots} dots of the overlay; "
    f"injection {made.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime}; "
    f"{made.DeidentificationMethod}"
)
print(line)
expected = (
    "StudyDate empty; OverlayComments P^Q, born 1950; all 64 dots of the overlay; injection 20200102020000; Orthanc "
    "1.10.1 - PS 3.15-2021b Table E.1-1 Basic Profile"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
