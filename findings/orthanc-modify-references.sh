#!/usr/bin/env bash
# Orthanc 1.10.1 (Debian 12's package orthanc), pydicom 3.0.2, numpy 2.4.6. Needs apt-get with Debian 12's lists, as
# root.
# Behaviour: `modify` of a patient or a study gives all images new UIDs, and what refers to them inside the same study
# keeps the old ones: the source of a derived slice, as of a segmentation or a contour, is an image that is not in the
# modified study. Where the original is kept, as by default, it is that one's, so that the modified patient's file names
# the other's. `anonymize` of the same study does refer to the new images. Nothing warns.
# Expected: the references follow, as `anonymize` has it: PS3.3 has no meaning for one to an image of another patient.
# Seen: "the source named is in the same study: as stored yes, after anonymize yes, after modify no"
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


def within(address, study):
    """Return whether the source that the second slice names is in the same study."""
    instances = json.load(urlopen(f"{address}/studies/{study}/instances"))
    files = [dcmread(io.BytesIO(urlopen(f"{address}/instances/{one['ID']}/file").read())) for one in instances]
    derived = next(file for file in files if "SourceImageSequence" in file)
    source = derived.SourceImageSequence[0].ReferencedSOPInstanceUID
    return "yes" if source in [file.SOPInstanceUID for file in files] else "no"


def changed(address, study, way, change):
    body = json.dumps({**change, "Force": True}).encode()
    return json.load(urlopen(Request(f"{address}/studies/{study}/{way}", body, method="POST")))["ID"]


reference = Dataset()
reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3.4.1"
with orthanc() as address:
    names = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    keep(address, {**names, "SOPInstanceUID": "1.2.3.4.1"}, [0, 0])
    second = {**names, "SOPInstanceUID": "1.2.3.4.2", "SourceImageSequence": [reference]}
    study = keep(address, second, [0, 0])["ParentStudy"]
    modified = changed(address, study, "modify", {"Replace": {"StudyDescription": "S"}})
    line = (
        f"the source named is in the same study: as stored {within(address, study)}, after anonymize "
        f"{within(address, changed(address, study, 'anonymize', {}))}, after modify {within(address, modified)}"
    )
print(line)
expected = "the source named is in the same study: as stored yes, after anonymize yes, after modify no"
sys.exit(0 if line == expected else "this has changed")
PYTHON
