#!/usr/bin/env bash
# hl7apy 1.3.5.
# Behaviour: a message that is read and written again has other text: the backslashes of escape sequences that the
# library does not know are escaped themselves. Each line break of a report (data type FT, \.br\) becomes the letters
# \.br\ to whoever reads it next, and a character in hexadecimal becomes its code, so that 5 µg may be read as 5 Xb5g.
# Nothing warns. Separators (\T\) and highlighting (\H\) stay.
# Expected: a message as it came, or at least the same text (HL7 2.5, 2.7.5 and 2.7.6: formatted text and hexadecimal
# data have escape sequences of their own).
# Seen: "read: No lesion.\.br\Give 5 \XB5\g \T\ \H\wait\N\ -> written: No lesion.\E\.br\E\Give 5 \E\XB5\E\g \T\
# \H\wait\N\; without them the message is as it came: True"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check hl7apy==1.3.5
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from hl7apy.parser import parse_message

HEAD = "MSH|^~\\&|RIS|H|PACS|H|20200101||ORU^R01^ORU_R01|1|P|2.5\rPID|1||77||P^Q\rOBR|1|||X^CT\r"


def written(text):
    """Return the text of a report in a message that is read and written again, and whether the message is the same."""
    message = f"{HEAD}OBX|1|FT|A^Report||{text}||||||F\r"
    again = parse_message(message, find_groups=False).to_er7()
    return again.split("OBX|")[1].split("|")[4], again.strip("\r") == message.strip("\r")


report = r"No lesion.\.br\Give 5 \XB5\g \T\ \H\wait\N" + "\\"
text, same = written(report)
plain = written(r"No lesion. Give 5 mg \T\ \H\wait\N" + "\\")[1]
line = f"read: {report} -> written: {text}; without them the message is as it came: {plain}"
print(line)
expected = (
    r"read: No lesion.\.br\Give 5 \XB5\g \T\ \H\wait\N\ -> written: No lesion.\E\.br\E\Give 5 \E\XB5\E\g \T\ \H\wait\N"
    "\\; without them the message is as it came: True"
)
sys.exit(0 if line == expected and not same else "this has changed")
PYTHON
