#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's package orthanc), pydicom 3.0.2, numpy 2.4.6. Needs apt-get with Debian 12's lists, as
# root.
# Behaviour: a search in which a question mark stands for a letter with an accent finds nobody: `M?ller*` does not find
# Müller, and `Mu?oz` not Muñoz, in C-FIND, QIDO-RS and the REST API's find. The index from which patients are looked up
# drops all letters beyond ASCII, so that Müller is kept as MLLER there, and the mark has no letter to stand for.
# `M*ller*` and the name itself find him, as does the mark for other letters. Nothing warns.
# Expected: `?` matches any single character (PS3.4 C.2.2.2.4), a ü as well as a u.
# Seen: "M?ller finds Muller; M*ller finds Muller, Müller; Müller finds Müller; Mu?oz finds nobody; Muñoz finds Muñoz"
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


def found(address, name):
    query = json.dumps({"Level": "Patient", "Query": {"PatientName": name}, "Expand": True}).encode()
    answer = json.load(urlopen(Request(f"{address}/tools/find", query, method="POST")))
    return f"{name} finds {', '.join(sorted(one['MainDicomTags']['PatientName'] for one in answer)) or 'nobody'}"


with orthanc() as address:
    for name in ("Müller", "Muller", "Muñoz"):
        keep(address, {"SpecificCharacterSet": "ISO_IR 192", "PatientName": name, "PatientID": name}, [0, 0])
    line = "; ".join(found(address, name) for name in ("M?ller", "M*ller", "Müller", "Mu?oz", "Muñoz"))
print(line)
expected = (
    "M?ller finds Muller; M*ller finds Muller, Müller; Müller finds Müller; Mu?oz finds nobody; Muñoz finds Muñoz"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
