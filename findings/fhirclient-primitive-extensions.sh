#!/usr/bin/env bash
# fhirclient 4.4.0.
# Behaviour: Extensions of primitive values, which FHIR keeps beside them under the name with an underscore, are read,
# accepted as valid and thrown away: a patient who is read and written back has lost the time of his birth, the reason
# why a date is absent and the kind of a name. Of a list with a null, whose content is there, the null alone is left.
# Extensions of other elements are kept. Nothing is said, also in strict mode.
# Expected: The same resource ("JSON representation of primitive elements" in the JSON format of FHIR R4).
# Seen: "extensions of primitive values: 4 read, 0 written; of the patient: 1 and 1; given names ['A', None]"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check fhirclient==4.4.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from fhirclient.models.patient import Patient

FHIR = "http://hl7.org/fhir/StructureDefinition/"
sent = {
    "resourceType": "Patient",
    "birthDate": "1970-05-17",
    "_birthDate": {"extension": [{"url": FHIR + "patient-birthTime", "valueDateTime": "1970-05-17T14:35:45-05:00"}]},
    "_deceasedDateTime": {"extension": [{"url": FHIR + "data-absent-reason", "valueCode": "masked"}]},
    "name": [
        {
            "family": "Doe",
            "_family": {"extension": [{"url": FHIR + "humanname-own-name", "valueString": "Doe"}]},
            "given": ["A", None],
            "_given": [None, {"extension": [{"url": FHIR + "data-absent-reason", "valueCode": "unknown"}]}],
        }
    ],
    "extension": [{"url": FHIR + "patient-birthPlace", "valueAddress": {"city": "X"}}],
}
back = Patient(sent, strict=True).as_json()


def extensions(part):
    if isinstance(part, dict):
        return len(part.get("extension", [])) + sum(extensions(value) for value in part.values())
    return sum(map(extensions, part)) if isinstance(part, list) else 0


whole = len(sent["extension"])
print(
    f"extensions of primitive values: {extensions(sent) - whole} read, {extensions(back) - len(back['extension'])} "
    f"written; of the patient: {whole} and {len(back['extension'])}; given names {back['name'][0]['given']}"
)
sys.exit(extensions(sent) != 5 or extensions(back) != 1 or any(key.startswith("_") for key in back))
PYTHON
