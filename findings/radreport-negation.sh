#!/usr/bin/env bash
# radreport 0.4.0.
# Behaviour: a critical finding of a radiology report counts as absent where a negation stands anywhere before it in the
# sentence: in "No change in large pneumothorax", in "No pneumothorax but pulmonary embolism", and after a semicolon.
# Its list of negations has "not seen", "not present" and "ruled out", which stand after what they negate, where it does
# not look: "Pneumothorax is not seen" is an alert.
# Expected: the rules that are common since NegEx (Chapman et al. 2001): "no change" is no negation, "but" ends one, and
# some follow what they negate; the documentation promises awareness of negations and no false alerts.
# Seen: "absent: No change in large pneumothorax. No fever; acute pulmonary embolism is present. No pneumothorax but
# pulmonary embolism. Present: Pneumothorax is not seen. Pulmonary embolism was ruled out."
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check radreport==0.4.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from radreport import CriticalFindingsDetector, ReportParser


def present(finding, sentence):
    """Return whether a finding of a report's only sentence is said to be there."""
    report = ReportParser().parse(f"FINDINGS:\n{sentence}", modality="CT")
    found = {found.term: found for found in CriticalFindingsDetector().detect(report).critical_findings}
    return not found[finding].negated


there = [
    ("pneumothorax", "No change in large pneumothorax."),
    ("pulmonary embolism", "No fever; acute pulmonary embolism is present."),
    ("pulmonary embolism", "No pneumothorax but pulmonary embolism."),
]
absent = [("pneumothorax", "Pneumothorax is not seen."), ("pulmonary embolism", "Pulmonary embolism was ruled out.")]
known = present("pneumothorax", "Large pneumothorax.") and not present("pneumothorax", "No pneumothorax.")
missed = [sentence for finding, sentence in there if not present(finding, sentence)]
alerts = [sentence for finding, sentence in absent if present(finding, sentence)]
print(f"absent: {' '.join(missed)} Present: {' '.join(alerts)}")
sys.exit(not (known and len(missed) == 3 and len(alerts) == 2))
PYTHON
