#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's package orthanc), pydicom 3.0.2, numpy 2.4.6. Needs apt-get with Debian 12's lists, as
# root.
# Behaviour: the REST API gives a series or an instance as a NumPy array of floats, to which the rescale slope and
# intercept are applied by default, `/series/.../numpy`. Each value is cut down to a whole number first: with a slope of
# 0.5 the values 0.5 and 1.5 are 0 and 1, and of a PET in SUV nothing between whole numbers is left: 0.75 is 0, and 2.5
# is 2. The array's type is float32, and nothing warns.
# Expected: the fractions that the slope makes, as the type promises.
# Seen: "an SUV of 0.5, 0.75, 2.5, 8.0 by a slope of 0.00025 is 0, 0, 2, 8; a slope of 0.5 makes 0.5, 1.5, 2.5, 500.5 to
# 0, 1, 2, 500; float32"
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
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid


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


def array(address, stored, slope):
    """Return the array of a PET slice, as Orthanc gives it for its series."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = PositronEmissionTomographyImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", generate_uid(), "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "PT", "M", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 1, 4, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [4, 4], 3, [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient, made.Units = [0, 0, 0], "GML"
    made.RescaleSlope, made.RescaleIntercept = slope, "0"
    made.PixelData = np.array([stored], "<u2").tobytes()
    made["PixelData"].VR = "OW"
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    kept = json.load(urlopen(Request(f"{address}/instances", file.getvalue(), method="POST")))
    return np.load(io.BytesIO(urlopen(f"{address}/series/{kept['ParentSeries']}/numpy").read()))


def words(values):
    return ", ".join(f"{value:g}" for value in values.ravel())


with orthanc() as address:
    suv, half = array(address, [2000, 3000, 10000, 32000], "0.00025"), array(address, [1, 3, 5, 1001], "0.5")
line = (
    f"an SUV of 0.5, 0.75, 2.5, 8.0 by a slope of 0.00025 is {words(suv)}; "
    f"a slope of 0.5 makes 0.5, 1.5, 2.5, 500.5 to {words(half)}; {suv.dtype}"
)
print(line)
expected = (
    "an SUV of 0.5, 0.75, 2.5, 8.0 by a slope of 0.00025 is 0, 0, 2, 8; a slope of 0.5 makes 0.5, 1.5, 2.5, 500.5 to "
    "0, 1, 2, 500; float32"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
