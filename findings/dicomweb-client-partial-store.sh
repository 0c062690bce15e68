#!/usr/bin/env bash
# dicomweb-client 0.61.2, pydicom 3.0.2.
# Behaviour: of two instances the server stores one and answers as PS3.18 says (202 Accepted, FailedSOPSequence in the
# body). store_instances returns as it does for success, and nothing is logged: the lines that warn of failed instances
# run only if "not response.ok", which follows raise_for_status and is never so. A server that stores none (409, with the
# same body) becomes an HTTPError, and these lines do not run either.
# Expected: the warning and the list of failed instances that these lines would log.
# Seen: "202 with 1 failed instance: returned, 0 warnings; 409 with 1 failed instance: HTTPError, 0 warnings"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicomweb-client==0.61.2 pydicom==3.0.2
"$place/env/bin/python" - <<'PYTHON'
import json
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from requests.exceptions import HTTPError

status = 202


def instance():
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MRImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.PatientID = "1.2.3", "1.2.4", "P"
    return made


kept, refused = instance(), instance()


class Archive(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = Dataset()
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, refused.SOPInstanceUID
        item.FailureReason = 0x0110
        answer.FailedSOPSequence = [item]
        body = json.dumps(answer.to_json_dict()).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class Kept(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.records = []

    def emit(self, record):
        self.records.append(record)


server = HTTPServer(("127.0.0.1", 0), Archive)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = DICOMwebClient(f"http://127.0.0.1:{server.server_port}/dicom-web")
heard = Kept()
logging.getLogger("dicomweb_client").addHandler(heard)

said = []
for status in (202, 409):
    heard.records.clear()
    try:
        answer = client.store_instances([kept, refused])
        outcome = "returned" if len(answer.FailedSOPSequence) == 1 else "returned something else"
    except HTTPError:
        outcome = "HTTPError"
    said.append(f"{status} with 1 failed instance: {outcome}, {len(heard.records)} warnings")
server.shutdown()
line = "; ".join(said)
print(line)
expected = "202 with 1 failed instance: returned, 0 warnings; 409 with 1 failed instance: HTTPError, 0 warnings"
sys.exit(0 if line == expected else "this has changed")
PYTHON
