#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's packages orthanc and orthanc-dicomweb 1.7), pydicom 3.0.2, numpy 2.4.6. Needs apt-get with
# Debian 12's lists, as root.
# Behaviour: a search for studies until a day also finds those that have no date: an empty StudyDate comes before every
# other in the order of letters, by which ranges are compared. In QIDO-RS, C-FIND and the REST API's find alike; a
# search by the patient's birth date takes in those without one, too. Studies of before 2000 that are to be deleted, or
# patients of 80 years and more, are so also those of whom nothing is known. Nothing warns.
# Expected: PS3.4 C.2.2.2.5: occurrences of dates prior to and including the day.
# Seen: "studies until 19991231: from 1998, no date; born until 19461231: born 1940, no birth date"
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


def found(address, query):
    headers = {"Accept": "application/dicom+json"}
    answer = urlopen(Request(f"{address}/dicom-web/studies?{query}", headers=headers)).read()
    return ", ".join(sorted(study["00100020"]["Value"][0] for study in json.loads(answer)))


with orthanc() as address:
    for name, day, born in (
        ("from 1998", "19980102", "19700102"),
        ("no date", "", "19700102"),
        ("born 1940", "20200102", "19400102"),
        ("no birth date", "20200102", ""),
    ):
        keep(address, {"PatientID": name, "StudyDate": day, "PatientBirthDate": born}, [0, 0])
    line = (
        f"studies until 19991231: {found(address, 'StudyDate=-19991231')}; "
        f"born until 19461231: {found(address, 'PatientBirthDate=-19461231')}"
    )
print(line)
expected = "studies until 19991231: from 1998, no date; born until 19461231: born 1940, no birth date"
sys.exit(0 if line == expected else "this has changed")
PYTHON
