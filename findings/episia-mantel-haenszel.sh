#!/usr/bin/env bash
# episia 0.1.3, scipy 1.13.1, pandas 2.2.3, numpy 1.26.4.
# Behaviour: mantel_haenszel_or reads a table whose second number is the unexposed cases, as the package defines it, as
# if it were the exposed who stayed well: the pooled risk ratio is that of another table. The pooled risk difference is
# a sum without its denominator, a number of patients. The intervals are not those of Robins et al., whom the code
# names.
# Expected: of two strata that are alike, what the package itself gives for the two put together.
# Seen: "two strata with 20 of 100 exposed and 10 of 100 unexposed ill: risk ratio 1.42, put together 2.00; risk
# difference 5.00, put together 0.10; interval of the odds ratio 1.47 to 3.44, put together 1.26 to 4.01"
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
from episia.stats.stratified import mantel_haenszel_or

pooled = mantel_haenszel_or([Table2x2(20, 10, 80, 90), Table2x2(20, 10, 80, 90)])
together = Table2x2(40, 20, 160, 180)
ratio, odds = together.risk_ratio().estimate, together.odds_ratio()
difference = together.risk_difference()["estimate"]
print(
    f"two strata with 20 of 100 exposed and 10 of 100 unexposed ill: risk ratio {pooled.common_rr:.2f}, put together "
    f"{ratio:.2f}; risk difference {pooled.common_rd:.2f}, put together {difference:.2f}; interval of the odds ratio "
    f"{pooled.or_ci[0]:.2f} to {pooled.or_ci[1]:.2f}, put together {odds.ci_lower:.2f} to {odds.ci_upper:.2f}"
)
sys.exit(not (pooled.common_rr < 1.5 and round(ratio, 2) == 2 and pooled.common_rd == 5 and pooled.or_ci[0] > 1.4))
PYTHON
