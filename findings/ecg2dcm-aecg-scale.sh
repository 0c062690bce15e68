#!/usr/bin/env bash
# ecg2dcm 1.3.1, pydicom 2.4.5, numpy 1.26.4.
# Behaviour: of an HL7 annotated ECG the unit of a lead's scale is not read: 0.0025 mV a step becomes 0.0025 microvolts
# in DICOM, and a QRS of 1 mV is 1 microvolt. One scale is kept for all leads, that of the last one: where V1 is
# recorded at 5 microvolts a step and the limb leads at 2.5, a QRS of 1 mV in lead I is 2 mV.
# Expected: 1000 microvolts each time: the scale of an SLIST_PQ is a physical quantity, with a unit, of its own sequence
# (HL7 v3 aECG implementation guide, `value` of a sequence).
# Seen: "R of lead I, 1000 microvolts: in uV 1000, in mV 1, with V1 at twice the scale 2000; V1, 2000 microvolts: 2000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check ecg2dcm==1.3.1 pydicom==2.4.5 numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from ecg2dcm import build, parse

SEQUENCE = """<component><sequence><code code="MDC_ECG_LEAD_{lead}" codeSystem="2.16.840.1.113883.6.24"/>
<value xsi:type="SLIST_PQ"><origin value="0" unit="{unit}"/><scale value="{scale}" unit="{unit}"/>
<digits>0 200 400 200 0</digits></value></sequence></component>"""
FILE = """<?xml version="1.0" encoding="UTF-8"?>
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><component><series>
<code code="RHYTHM" codeSystem="2.16.840.1.113883.5.4"/><component><sequenceSet>
<component><sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/><value xsi:type="GLIST_TS">
<head value="20240101120000.000"/><increment value="0.002" unit="s"/></value></sequence></component>
{leads}</sequenceSet></component></series></component></AnnotatedECG>"""


def peaks(*scales):
    """Return the highest values of lead I and V1 (microvolts) in DICOM, of leads I, II and V1 with these scales."""
    leads = "".join(
        SEQUENCE.format(lead=lead, scale=scale, unit=unit)
        for lead, (scale, unit) in zip(("I", "II", "V1"), scales, strict=True)
    )
    with open("ecg.xml", "w") as file:
        file.write(FILE.format(leads=leads))
    made = build(parse("ecg.xml"))
    channels = made.WaveformSequence[0].ChannelDefinitionSequence
    names = [channel.ChannelSourceSequence[0].CodeMeaning for channel in channels]
    highest = made.waveform_array(0).max(axis=0)
    return [highest[names.index(f"Lead {name}")] for name in ("I", "V1")]


micro, milli = peaks(*[("2.5", "uV")] * 3), peaks(*[("0.0025", "mV")] * 3)
mixed = peaks(("2.5", "uV"), ("2.5", "uV"), ("5", "uV"))
line = (
    f"R of lead I, 1000 microvolts: in uV {micro[0]:.0f}, in mV {milli[0]:.0f}, with V1 at twice the scale "
    f"{mixed[0]:.0f}; V1, 2000 microvolts: {mixed[1]:.0f}"
)
print(line)
expected = (
    "R of lead I, 1000 microvolts: in uV 1000, in mV 1, with V1 at twice the scale 2000; V1, 2000 microvolts: 2000"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
