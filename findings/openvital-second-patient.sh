#!/usr/bin/env bash
# openvital 0.2.1, openecg 0.11.0, numpy 2.2.6.
# Behaviour: the pharmacokinetic filter keeps the amounts of drug and the volume of the pump in variables of its module,
# and nothing sets them back. The second patient of a program begins with what the first was given, and with the volume
# of the first one's pump: as his own begins at 0, he gets the difference as a negative dose. His plasma concentration
# of propofol is -29 ug/ml after ten seconds.
# Expected: the same concentrations for the same patient with the same pump, in whatever order patients come.
# Seen: "propofol of the same patient after 10 s, 1 and 10 min: 1.31, 5.58 and 2.29 ug/ml as the first, -29.28, -8.50
# and 2.11 as the second"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check openvital==0.2.1 openecg==0.11.0 numpy==2.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from openvital.filters import pkpd_3comp

PATIENT = {"model": "Schnider", "age": 50, "sex": "M", "wt": 70, "ht": 175}


def volume(second):
    """Return what the pump has given (ml of 10 mg/ml): 10 ml in 200 s, and 0.6 ml a minute all the time."""
    return min(10.0, 0.05 * second) + 0.01 * second


def concentrations():
    """Return the plasma concentration (ug/ml) after each second of ten minutes, window by window."""
    plasma = []
    for start in range(0, 600, 10):
        given = [{"dt": float(second), "val": volume(start + second)} for second in range(1, 11)]
        pump = {"PUMP1_VOL": given, "PUMP1_CONC": [{"dt": 1.0, "val": 10.0}]}
        plasma += [float(sample["val"]) for sample in pkpd_3comp.run(pump, PATIENT, pkpd_3comp.cfg)[0]]
    return [plasma[second - 1] for second in (10, 60, 600)]


first, second = concentrations(), concentrations()
line = (
    f"propofol of the same patient after 10 s, 1 and 10 min: {first[0]:.2f}, {first[1]:.2f} and {first[2]:.2f} ug/ml "
    f"as the first, {second[0]:.2f}, {second[1]:.2f} and {second[2]:.2f} as the second"
)
print(line)
expected = (
    "propofol of the same patient after 10 s, 1 and 10 min: 1.31, 5.58 and 2.29 ug/ml as the first, -29.28, -8.50 and "
    "2.11 as the second"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
