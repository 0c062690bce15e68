#!/usr/bin/env bash
# iaa-kit 0.1.2, numpy 1.26.4.
# Behaviour: the weighted kappa puts grades in order as text: 10 lies between 1 and 2. Readers who differ by one grade
# at the upper end of a scale of ten differ by nearly all of it.
# Expected: numbers in the order of numbers.
# Seen: "readers who differ by one grade in 40 of 100 patients: linear kappa 0.16, with 10 added to all grades 0.88;
# quadratic -0.12 and 0.98"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check iaa-kit==0.1.2 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from iaa_kit.cohen import weighted_kappa

first = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] * 6 + [9] * 20 + [10] * 20  # pain from 1 to 10
second = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] * 6 + [10] * 20 + [9] * 20


def kappa(shift, weight):
    """Return the weighted kappa, with a number added to all grades."""
    return weighted_kappa([grade + shift for grade in first], [grade + shift for grade in second], weight)


seen = [kappa(0, "linear"), kappa(10, "linear"), kappa(0, "quadratic"), kappa(10, "quadratic")]
print(
    f"readers who differ by one grade in 40 of 100 patients: linear kappa {seen[0]:.2f}, with 10 added to all grades "
    f"{seen[1]:.2f}; quadratic {seen[2]:.2f} and {seen[3]:.2f}"
)
sys.exit(not (seen[0] < seen[1] - 0.2 and seen[2] < seen[3] - 0.3))
PYTHON
