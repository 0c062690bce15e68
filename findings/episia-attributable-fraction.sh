#!/usr/bin/env bash
# episia 0.1.3, scipy 1.13.1, pandas 2.2.3, numpy 1.26.4.
# Behaviour: the fraction of cases that an exposure is to blame for is computed by Levin's formula, which takes the
# share of the exposed in the population, with the share of the exposed among cases put in.
# Expected: what would be fewer cases if the exposed had the risk of the others: 10 of 30 (Levin 1953; Miettinen 1974).
# Seen: "20 of 100 exposed and 10 of 100 unexposed ill: attributable fraction 0.40, of all cases 0.33"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scipy==1.13.1 pandas==2.2.3 numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps episia==0.1.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import importlib.util
import sys
from types import ModuleType

for name in ("episia", "episia.stats"):  # its tables alone: the rest needs libraries for plots
    package = ModuleType(name)
    package.__path__ = importlib.util.find_spec(name).submodule_search_locations
    sys.modules[name] = package
from episia.stats.contingency import Table2x2

table = Table2x2(20, 10, 80, 90)
seen = table.attributable_fraction_population()
right = 1 - (10 + 10) / (20 + 10)  # the exposed with the risk of the others
print(f"20 of 100 exposed and 10 of 100 unexposed ill: attributable fraction {seen:.2f}, of all cases {right:.2f}")
sys.exit(not (round(seen, 2) == 0.4 and round(right, 2) == 0.33))
PYTHON
