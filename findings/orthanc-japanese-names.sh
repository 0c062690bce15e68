#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's packages orthanc and orthanc-dicomweb 1.7), pydicom 3.0.2, numpy 2.4.6. Needs apt-get with
# Debian 12's lists, as root.
# Behaviour: the names of Japanese, Chinese and Greek patients are answered in Latin 1, whatever they are stored in:
# QIDO-RS, whose JSON is in UTF-8, has nothing but the caret of a name in kanji, and no name of a Greek one. Whoever
# renames a patient so over the REST API stores the caret alone: the new name is lost, status 200. WADO-RS metadata of
# the same files are right. Nothing warns.
# Expected: the name as it is stored: DICOM JSON is UTF-8 (PS3.18 F.2). The setting DefaultEncoding is documented for
# files without a character set and for answers to C-FIND.
# Seen: "QIDO-RS ^ for 山田^太郎, and nothing for Παπάς; metadata 山田^太郎; renamed to 山田^太郎: ^"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$place"
mkdir -p archives/partial
apt-get install --download-only --reinstall --yes --no-install-recommends -o Dir::Cache::archives="$place/archives" \
    'orthanc=1.10.1*' 'orthanc-dicomweb=1.7*' 'libdcmtk17=3.6.7*' > apt.log
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
    settings["Plugins"] = [str(next(Path("root").rglob("libOrthancDicomWeb.so*")))]
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


def asked(address, path):
    answer = urlopen(Request(f"{address}/dicom-web/{path}", headers={"Accept": "application/dicom+json"})).read()
    return json.loads(answer)[0]["00100010"].get("Value", [{}])[0]


def renamed(address, instance, name):
    change = json.dumps({"Replace": {"PatientName": name}}).encode()
    answer = urlopen(Request(f"{address}/instances/{instance}/modify", change, method="POST")).read()
    return dcmread(io.BytesIO(answer)).PatientName


kanji = "Yamada^Tarou=山田^太郎"
with orthanc() as address:
    stored = {"SpecificCharacterSet": "ISO_IR 192"}
    keep(address, {**stored, "StudyInstanceUID": "1.2.1", "PatientID": "1", "PatientName": kanji}, [0, 0])
    keep(address, {**stored, "StudyInstanceUID": "1.2.2", "PatientID": "2", "PatientName": "Παπάς"}, [0, 0])
    other = keep(address, {"PatientID": "3"}, [0, 0])["ID"]
    japanese, greek = (asked(address, f"studies?PatientID={number}") for number in (1, 2))
    line = (
        f"QIDO-RS {japanese['Ideographic']} for 山田^太郎, and {greek.get('Alphabetic', 'nothing')} for Παπάς; "
        f"metadata {asked(address, 'studies/1.2.1/metadata')['Ideographic']}; "
        f"renamed to 山田^太郎: {renamed(address, other, '山田^太郎')}"
    )
print(line)
expected = "QIDO-RS ^ for 山田^太郎, and nothing for Παπάς; metadata 山田^太郎; renamed to 山田^太郎: ^"
sys.exit(0 if line == expected else "this has changed")
PYTHON
