#!/usr/bin/env bash
# hl7parser 0.7.5.
# Behaviour: a time with a zone half an hour west of a full one is written an hour off: 10:15-0330, Newfoundland's, is
# read rightly and becomes 10:15-0430 in the message that is made of it, as the hours are rounded down, away from zero.
# Zones of full hours and those to the east are kept.
# Expected: the zone that was read (HL7 version 2.5.1, chapter 2A, data type DTM).
# Seen: "10:15-0500 is written 10:15-0500, 10:15+0530 is written 10:15+0530, 10:15-0330 is written 10:15-0430,
# 10:15-0930 is written 10:15-1030 ([0, 0, 60, 60] minutes off)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check hl7parser==0.7.5
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from datetime import datetime

from hl7parser.hl7 import HL7Message


def rewritten(time):
    """Return the time of a message after it is read and written."""
    return str(HL7Message(f"MSH|^~\\&|A|B|C|D|{time}||ORU^R01|1|P|2.5\r")).split("|")[6]


def instant(time):
    return datetime.strptime(time, "%Y%m%d%H%M%S%z")


zones = "-0500", "+0530", "-0330", "-0930"
times = [f"20260101101500{zone}" for zone in zones]
seen = [rewritten(time) for time in times]
off = [round((instant(after) - instant(before)).total_seconds() / 60) for before, after in zip(times, seen)]
print(", ".join(f"10:15{zone} is written 10:15{after[14:]}" for zone, after in zip(zones, seen)), f"({off} minutes off)")
sys.exit(off != [0, 0, 60, 60])
PYTHON
