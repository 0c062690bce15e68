#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's packages orthanc and orthanc-dicomweb 1.7), pydicom 3.0.2, Pillow 12.1.0, numpy 2.4.6.
# Needs apt-get with Debian 12's lists, as root.
# Behaviour: WADO-RS `/rendered` of a CT at the window 40/400 with the function linear-exact has 240 HU as middle grey
# and -160 to 40 HU as black: the half that PS3.3 C.11.2.1.3.2 adds is left out, and all lies half a width too high.
# Without a window in the request the file's own is left out, too, and the slice is stretched from its least to its
# largest number, where WADO-URI and the REST API of the same server take the file's. Nothing warns.
# Expected: linear-exact as linear, but for one level; the window of the file by default, as the same server's other
# ways.
# Seen: "-160, 40, 240, 1000 HU at 40/400: linear 0, 128, 255, 255; linear-exact 0, 0, 128, 255; without a window in the
# request: WADO-RS 0, 44, 88, 255, WADO-URI 0, 127, 255, 255, REST 0, 127, 255, 255"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6 Pillow==12.1.0
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
from PIL import Image
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


def grey(url):
    answer = urlopen(Request(url, headers={"Accept": "image/png"})).read()
    return ", ".join(str(value) for value in np.array(Image.open(io.BytesIO(answer))).ravel())


names = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "SOPInstanceUID": "1.2.3.4.5"}
with orthanc() as address:
    kept = keep(address, {**names, "WindowCenter": "40", "WindowWidth": "400"}, [-160, 40, 240, 1000])
    rs = f"{address}/dicom-web/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/rendered"
    uri = f"{address}/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.3.4&objectUID=1.2.3.4.5&contentType=image/png"
    line = (
        f"-160, 40, 240, 1000 HU at 40/400: linear {grey(rs + '?window=40,400,linear')}; "
        f"linear-exact {grey(rs + '?window=40,400,linear-exact')}; without a window in the request: "
        f"WADO-RS {grey(rs)}, WADO-URI {grey(uri)}, REST {grey(address + '/instances/' + kept['ID'] + '/rendered')}"
    )
print(line)
expected = (
    "-160, 40, 240, 1000 HU at 40/400: linear 0, 128, 255, 255; linear-exact 0, 0, 128, 255; without a window in the "
    "request: WADO-RS 0, 44, 88, 255, WADO-URI 0, 127, 255, 255, REST 0, 127, 255, 255"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
