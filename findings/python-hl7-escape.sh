#!/usr/bin/env bash
# hl7 0.4.5 (python-hl7).
# Behaviour: `escape` writes a letter beyond Latin 1 as the hexadecimal digits of its number, as many as there are, and
# `unescape`, as every other reader, takes two for each byte: the Japanese letter for mountain is read as a backslash
# and a q, and the Greek omega as a colon and a tab. A line break becomes `\X a\`, with a blank for the zero, which
# other readers do not take for a number. Nothing warns; German and French letters come back.
# Expected: two digits for each byte of the message's character set (HL7 2.5.1, 2.7.5), or the letter as it is.
# Seen: "é is \Xe9\ and é again; Ω is \X3a9\ and ':\t'; 山 is \X5c71\ and '\\q'; a line break is \X a\"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check hl7==0.4.5
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import sys

import hl7

message = hl7.parse(r"MSH|^~\&|A|B|C|D|20260101||ORU^R01|1|P|2.5.1" + "\r")


def back(letter):
    escaped = message.escape(letter)
    read = message.unescape(escaped)
    return f"{letter} is {escaped} and {f'{letter} again' if read == letter else repr(read)}"


line = f"{back('é')}; {back('Ω')}; {back('山')}; a line break is {message.escape(chr(10))}"
print(line)
expected = "é is \\Xe9\\ and é again; Ω is \\X3a9\\ and ':\\t'; 山 is \\X5c71\\ and '\\\\q'; a line break is \\X a\\"
sys.exit(0 if line == expected else "this has changed")
PYTHON
