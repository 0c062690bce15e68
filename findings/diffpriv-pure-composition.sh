#!/usr/bin/env bash
# diffpriv-pure 0.1.0.
# Behaviour: advanced_composition takes the first term of the theorem alone, and leaves out n times epsilon times
# (exp(epsilon) - 1), which is the larger one from an epsilon near 1 on, and the delta that the theorem adds.
# Expected: no less than what a patient loses by n answers at random, each at this epsilon, which is exact to compute.
# Seen: "100 answers at epsilon 1 and delta 1e-06: said to be epsilon 52.6 and delta 1e-04; by the theorem 224; answers
# at random have delta 0.21 at epsilon 52.6"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check diffpriv-pure==0.1.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from math import comb, exp, log, sqrt

from diffpriv_pure import PrivacyBudget

number, epsilon, delta = 100, 1.0, 1e-6
said, said_delta = PrivacyBudget(1000.0, 0.5).advanced_composition(number, epsilon, delta)
theorem = epsilon * sqrt(2 * number * log(1 / delta)) + number * epsilon * (exp(epsilon) - 1)  # Dwork and Roth, 3.20
honest = exp(epsilon) / (1 + exp(epsilon))  # an answer at random: true with this chance
exact = 0.0
for true in range(number + 1):
    here = comb(number, true) * honest**true * (1 - honest) ** (number - true)
    other = comb(number, true) * honest ** (number - true) * (1 - honest) ** true
    exact += max(here - exp(said) * other, 0)
print(
    f"{number} answers at epsilon 1 and delta {delta:.0e}: said to be epsilon {said:.1f} and delta {said_delta:.0e}; "
    f"by the theorem {theorem:.0f}; answers at random have delta {exact:.2f} at epsilon {said:.1f}"
)
sys.exit(not (said < 53 and said_delta < 1e-3 and exact > 0.1))
PYTHON
