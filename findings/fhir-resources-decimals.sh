#!/usr/bin/env bash
# fhir.resources 8.3.0, pydantic 2.14.4.
# Behaviour: Values are of the type Decimal and come out of a float: 1.10 mg/dl is 1.1, 0.010 is 0.01 and 140.00 is
# 140.0, in the object and in the JSON that is written back. A result to two digits becomes one to one digit. A Decimal
# of 1.10 that is set in Python is held, and written as 1.1.
# Expected: "Implementations SHALL handle decimal values in ways that preserve and respect the precision of the value":
# 0.010 is another result than 0.01 (FHIR R4 and R5, data types, decimal).
# Seen: "sent 1.10, 0.010, 140.00, 1.25; held 1.1, 0.01, 140.0, 1.25; written 1.1, 0.01, 140.0, 1.25; Decimal('1.10') is
# held as 1.10 and written as 1.1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check fhir.resources==8.3.0 pydantic==2.14.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from decimal import Decimal

from fhir.resources.observation import Observation

TEXT = (
    '{"resourceType": "Observation", "status": "final", "code": {"text": "creatinine"}, '
    '"valueQuantity": {"value": %s, "unit": "mg/dl"}}'
)
sent = ("1.10", "0.010", "140.00", "1.25")
read = [Observation.model_validate_json(TEXT % value) for value in sent]
held = [str(observation.valueQuantity.value) for observation in read]
written = [observation.model_dump_json().split('"value":')[1].split(",")[0] for observation in read]
exact = Observation(
    status="final", code={"text": "creatinine"}, valueQuantity={"value": Decimal("1.10"), "unit": "mg/dl"}
)
again = exact.model_dump_json().split('"value":')[1].split(",")[0]
print(
    f"sent {', '.join(sent)}; held {', '.join(held)}; written {', '.join(written)}; "
    f"Decimal('1.10') is held as {exact.valueQuantity.value} and written as {again}"
)
sys.exit(held != ["1.1", "0.01", "140.0", "1.25"] or written[:2] != ["1.1", "0.01"])
PYTHON
