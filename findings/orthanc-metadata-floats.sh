#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's packages orthanc and orthanc-dicomweb 1.7), pydicom 3.0.2, numpy 2.4.6. Needs apt-get with
# Debian 12's lists, as root.
# Behaviour: WADO-RS metadata have the first number alone of what is stored as OF, OD or OL: of the pixels of a
# parametric map, the points of a surface, the offsets of fibres. There is no BulkDataURI for the rest, and a client
# that goes by the metadata has a map of one pixel. A text of VR UT or LT is cut at its backslashes, which are letters
# there, and attributes of SV, UV and OV are left out. Nothing warns.
# Expected: a BulkDataURI or InlineBinary for OF, OD and OL (PS3.18 F.2.2), one Value for UT and LT (PS3.5 6.2), and all
# attributes.
# Seen: "FloatPixelData of 4 numbers: vr OF, Value 0.25; TextValue dose 5\10 mg: dose 5, 10 mg; SelectorSVValue:
# missing"
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
from pydicom.uid import ExplicitVRLittleEndian, ParametricMapStorage, generate_uid


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


def keep(address, values, pixels):
    """Store a map of these attributes and pixels, and return what the server says of it."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = ParametricMapStorage
    made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID = (generate_uid() for _ in range(3))
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "MR", "M", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 1, len(pixels), 1, "MONOCHROME2"
    made.BitsAllocated = 32
    made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [1, 1], 1, [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient, made.RescaleSlope, made.RescaleIntercept = [0, 0, 0], "1", "0"
    made.FloatPixelData = np.array(pixels, "<f4").tobytes()
    for name, value in values.items():
        setattr(made, name, value)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return json.load(urlopen(Request(f"{address}/instances", file.getvalue(), method="POST")))


with orthanc() as address:
    keep(
        address,
        {"StudyInstanceUID": "1.2.3", "TextValue": "dose 5\\10 mg", "SelectorSVValue": -5},
        [0.25, 0.5, 0.75, 1],
    )
    wanted = Request(f"{address}/dicom-web/studies/1.2.3/metadata", headers={"Accept": "application/dicom+json"})
    metadata = json.loads(urlopen(wanted).read())[0]
pixels, text = metadata["7FE00008"], metadata["0040A160"]["Value"]
named = ", ".join(f"{name} {pixels[name][0] if name == 'Value' else pixels[name]}" for name in ("vr", "Value"))
if "BulkDataURI" in pixels or "InlineBinary" in pixels or len(pixels["Value"]) != 1:
    sys.exit("the other pixels are there")
line = (
    f"FloatPixelData of 4 numbers: {named}; TextValue dose 5\\10 mg: {', '.join(text)}; "
    f"SelectorSVValue: {metadata.get('00720082', 'missing')}"
)
print(line)
expected = (
    "FloatPixelData of 4 numbers: vr OF, Value 0.25; TextValue dose 5\\10 mg: dose 5, 10 mg; SelectorSVValue: missing"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
