#!/usr/bin/env bash
# pyEDFlib 0.1.42, numpy 2.4.6.
# Behaviour: crop_edf leaves all annotations out of the piece: a seizure marked at 10:00:05 is not in the piece from
# 10:00:04 to 10:00:10, which reads as one without a seizure. drop_channels and rename_channels keep them. A piece from
# second 4.5 on is said to begin at second 4: the fraction is cut off the start, not off the samples, and all of it lies
# half a second early. It ends in half a second of 0 that was not recorded. Nothing is said of either.
# Expected: the annotations between start and stop, as times from the new start; a start of 10:00:04.5, as EDF+ has it
# (2.2.4: the first annotation gives the fraction), or a refusal of what does not fit whole records.
# Seen: "recording: seizure at 10:00:05; without a channel: seizure at 10:00:05; from 4 to 10 s: none; from 4.5 to 10 s:
# begins at 10:00:04, a peak of 10:00:06.000 is at 10:00:05.500, 128 of 1536 samples are 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyEDFlib==0.1.42 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from datetime import datetime, timedelta

import numpy as np
from pyedflib import highlevel

RATE = 256  # samples a second
START = datetime(2026, 1, 1, 10)


def annotations(name):
    """Return the annotations of a file with the time of day."""
    header = highlevel.read_edf_header(name)
    begins = header["startdate"]
    marked = [f"{text} at {begins + timedelta(seconds=at):%H:%M:%S}" for at, _, text in header["annotations"]]
    return ", ".join(marked) or "none"


time = np.arange(20 * RATE) / RATE
eeg = 50 + 100 * np.exp(-(((time - 6) / 0.1) ** 2))  # a spike at 10:00:06, in uV
heads = [
    highlevel.make_signal_header(label, sample_frequency=RATE, physical_min=-200, physical_max=200)
    for label in ("Fp1", "Fp2")
]
header = highlevel.make_header(startdate=START)
header["annotations"] = [[5.0, 1.0, "seizure"]]
highlevel.write_edf("recording.edf", np.array([eeg, eeg]), heads, header)
highlevel.drop_channels("recording.edf", "one.edf", to_drop=["Fp2"])
for name, first in (("whole.edf", 4), ("half.edf", 4.5)):
    highlevel.crop_edf(
        "recording.edf",
        new_file=name,
        start=first,
        stop=10,
        start_format="seconds",
        stop_format="seconds",
        verbose=False,
    )
signals, _, half = highlevel.read_edf("half.edf")
begins = half["startdate"]
peak = begins + timedelta(seconds=int(signals[0].argmax()) / RATE)
line = (
    f"recording: {annotations('recording.edf')}; without a channel: {annotations('one.edf')}; from 4 to 10 s: "
    f"{annotations('whole.edf')}; from 4.5 to 10 s: begins at {begins:%H:%M:%S}, a peak of 10:00:06.000 is at "
    f"{peak:%H:%M:%S}.{peak.microsecond // 1000:03d}, {int((signals[0] < 1).sum())} of {len(signals[0])} samples are 0"
)
print(line)
expected = (
    "recording: seizure at 10:00:05; without a channel: seizure at 10:00:05; from 4 to 10 s: none; from 4.5 to 10 s: "
    "begins at 10:00:04, a peak of 10:00:06.000 is at 10:00:05.500, 128 of 1536 samples are 0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
