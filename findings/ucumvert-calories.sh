#!/usr/bin/env bash
# ucumvert 0.3.2, pint 0.25.3.
# Behaviour: the unit [Cal], the Calorie of food labels, is a small calorie: a diet of 2000 [Cal] is 2 kcal. A
# haemoglobin of 14 g%, gram percent, is a mass of 0.14 g instead of 140 g/L, an angle of 1' is a minute of time, and a
# cubic foot [cft_i] a hundredth of a foot.
# Expected: the definitions in ucum-essence.xml, which the package comes with: [Cal] is 1 kcal_th, g% is 1 g/dl, ' is 1
# deg/60, [cft_i] is 1 [ft_i]3.
# Seen: "2000 [Cal] are 2 kcal; 14 g% are 0.00014 kg; dimensions of g%, ', [cft_i]: [mass], [time], [length]"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check ucumvert==0.3.2 pint==0.25.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from ucumvert import PintUcumRegistry

units = PintUcumRegistry()


def quantity(value, code):
    return value * units.from_ucum(code)


diet = quantity(2000, "[Cal]").to(units.from_ucum("kcal"))
haemoglobin = quantity(14, "g%").to_base_units()
angle, volume = quantity(1, "'"), quantity(1, "[cft_i]")
dimensions = [str(one.dimensionality) for one in (haemoglobin, angle, volume)]
print(
    f"2000 [Cal] are {diet.magnitude:g} kcal; 14 g% are {haemoglobin:~g}; dimensions of g%, ', [cft_i]: {', '.join(dimensions)}"
)
sys.exit(not (round(diet.magnitude) == 2 and dimensions == ["[mass]", "[time]", "[length]"]))
PYTHON
