#!/usr/bin/env bash
# hl7conv2 0.2.5.
# Behaviour: the encoding characters of a message, MSH-2, are taken for a field with components, and escaped when it is
# written: `^~\&` becomes `^\R\\\\T\`, from which no receiver learns how the rest is to be read. Escape sequences that
# are read are not written as they were: a line break of a report, `\.br\`, loses its last backslash, and each blank of
# such a text is `\X20\`. Fields of MSH are numbered one too low: under 10, where the control number stands, is the
# processing mode.
# Expected: the same message, with MSH-2 as it is and MSH-10 under 10 (HL7 v2.5, chapter 2, sections 2.5.4 and 2.14.9).
# Seen: "MSH-2 ^~\& is written as ^\R\\\\T\; OBX-5 clear\.br\no change as clear\\.brno\X20\change; field 10 of MSH, C17,
# is P, and 9 is C17"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check hl7conv2==0.2.5
"$place/env/bin/python" -W ignore - <<'PYTHON'
import json
import sys

from hl7conv2 import Hl7Json, JsonHl7

message = "\r".join(
    [
        r"MSH|^~\&|LAB|H|EHR|H|20240102030405||ORU^R01|C17|P|2.5",
        r"PID|1||123^^^H^MR||Doe^A",
        r"OBX|1|TX|N^note||clear\.br\no change||||||F",
    ]
)
fields = Hl7Json(message + "\r").hl7_json
fields = json.loads(fields) if isinstance(fields, str) else fields
written = JsonHl7(fields).hl7_string.replace("\n", "\r").split("\r")
sent = message.split("\r")
encoding, text = written[0].split("|")[1], written[2].split("|")[5]
print(
    f"MSH-2 {sent[0].split('|')[1]} is written as {encoding}; OBX-5 {sent[2].split('|')[5]} as {text}; "
    f"field 10 of MSH, C17, is {fields[0]['10']}, and 9 is {fields[0]['9']}"
)
sys.exit(encoding == r"^~\&" or text == sent[2].split("|")[5] or fields[0]["9"] != "C17")
PYTHON
