#!/usr/bin/env bash
# quantulum3 0.10.0.
# Behaviour: a blood pressure of 120/80 mmHg in a text is one quantity of 1.5 mmHg: the slash is that of a fraction. A
# radiation dose of 1.5 mSv is in milliseconds times volts, and 5 ug are 5 atomic mass units times grams, where 5 mcg
# are micrograms. No unit is said to be unknown.
# Expected: two pressures, or none; sievert and microgram, or "dimensionless", as for other units that it does not know.
# Seen: "BP 120/80 mmHg is 1.5 millimeter of mercury; dose 1.5 mSv is 1.5 millisecond volt; thyroxine 5 ug is 5 atomic
# mass unit gram; thyroxine 5 mcg is 5 microgram"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check quantulum3==0.10.0
"$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

from quantulum3 import parser

texts = "BP 120/80 mmHg", "dose 1.5 mSv", "thyroxine 5 ug", "thyroxine 5 mcg"
seen = [[(found.value, found.unit.name) for found in parser.parse(text)] for text in texts]
said = [" and ".join(f"{value:g} {unit}" for value, unit in quantities) for quantities in seen]
print("; ".join(f"{text} is {words}" for text, words in zip(texts, said)))
wrong = ["1.5 millimeter of mercury", "1.5 millisecond volt", "5 atomic mass unit gram", "5 microgram"]
sys.exit(said != wrong)
PYTHON
