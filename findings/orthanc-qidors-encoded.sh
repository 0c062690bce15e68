#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's packages orthanc and orthanc-dicomweb 1.7), dicomweb-client 0.61.2, pydicom 3.0.2, numpy
# 2.4.6. Needs apt-get with Debian 12's lists, as root.
# Behaviour: characters of a search that are written in percent-encoding, as RFC 3986 has it and dicomweb-client does
# with all of `^`, `*`, `?`, spaces and umlauts, are not decoded: the answer to a search for Smith^John, Sm?th* or Sm*
# is an empty list, status 200, as if there were no such patient. The same characters sent as they are find him. Nothing
# warns.
# Expected: the same answer to both, as they are the same query (RFC 3986 2.1, to which PS3.18 refers).
# Seen: "patients found, plain and encoded: Smith^John 1 and 0, Sm?th* 1 and 0, Sm* 1 and 0, Smith* by dicomweb-client
# 0; CT head as the study's description, encoded: 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6 dicomweb-client==0.61.2
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
from urllib.parse import quote
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
from dicomweb_client import DICOMwebClient
from dicomweb_client import DICOMwebClient
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
    return len(json.loads(answer))


with orthanc() as address:
    keep(address, {"PatientName": "Smith^John", "StudyDescription": "CT head"}, [0, 0])
    each = [
        f"{name} {found(address, f'PatientName={name}')} and {found(address, f'PatientName={quote(name)}')}"
        for name in ("Smith^John", "Sm?th*", "Sm*")
    ]
    client = DICOMwebClient(f"{address}/dicom-web").search_for_studies(search_filters={"PatientName": "Smith*"})
    head = found(address, f"StudyDescription={quote('CT head')}")
line = (
    f"patients found, plain and encoded: {', '.join(each)}, Smith* by dicomweb-client {len(client)}; "
    f"CT head as the study's description, encoded: {head}"
)
print(line)
expected = (
    "patients found, plain and encoded: Smith^John 1 and 0, Sm?th* 1 and 0, Sm* 1 and 0, Smith* by dicomweb-client 0;"
    " CT head as the study's description, encoded: 0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
