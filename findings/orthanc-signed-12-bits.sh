#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's package orthanc), pydicom 3.0.2, Pillow 12.1.0, numpy 2.4.6. Needs apt-get with Debian
# 12's lists, as root.
# Behaviour: where a signed CT has its sign in the highest of the 12 bits stored, and nothing in the four above, as
# PS3.5 8.1.1 allows, Orthanc takes -1000 HU for 3096, in the arrays and images of its REST API. At a window for soft
# tissue air and fat are white. A file that repeats the sign above is right. Nothing warns.
# Expected: the numbers that HighBit and PixelRepresentation say, as pydicom reads both files.
# Seen: "-1000, -100, 0, 40 HU: sign repeated above -1000, -100, 0, 40, shown at 40/400 as 0, 38, 102, 127; sign in 12
# bits 3096, 3996, 0, 40, shown as 255, 255, 102, 127; pydicom reads -1000, -100, 0, 40 of both"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6 Pillow==12.1.0
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
from PIL import Image
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


def keep(address, values, pixels, bits=16):
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
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return json.load(urlopen(Request(f"{address}/instances", file.getvalue(), method="POST")))


def words(values):
    return ", ".join(f"{value:g}" for value in values.ravel())


def seen(address, values, pixels, bits):
    """Return the array and the rendered image of Orthanc, and the array of pydicom."""
    instance = f"{address}/instances/{keep(address, values, pixels, bits)['ID']}"
    array = np.load(io.BytesIO(urlopen(f"{instance}/numpy").read()))
    shown = np.array(Image.open(io.BytesIO(urlopen(f"{instance}/rendered").read())))
    return words(array), words(shown), words(dcmread(io.BytesIO(urlopen(f"{instance}/file").read())).pixel_array)


window = {"WindowCenter": "40", "WindowWidth": "400"}
pixels = np.array([-1000, -100, 0, 40])
with orthanc() as address:
    above = seen(address, {**window, "BitsStored": 12, "HighBit": 11}, pixels, 16)
    within = seen(address, window, pixels, 12)
line = (
    f"-1000, -100, 0, 40 HU: sign repeated above {above[0]}, shown at 40/400 as {above[1]}; "
    f"sign in 12 bits {within[0]}, shown as {within[1]}; pydicom reads {above[2]} of both"
)
if above[2] != within[2]:
    sys.exit("pydicom reads other numbers")
print(line)
expected = (
    "-1000, -100, 0, 40 HU: sign repeated above -1000, -100, 0, 40, shown at 40/400 as 0, 38, 102, 127; sign in 12 "
    "bits 3096, 3996, 0, 40, shown as 255, 255, 102, 127; pydicom reads -1000, -100, 0, 40 of both"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
