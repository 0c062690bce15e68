#!/usr/bin/env bash
# iaa-kit 0.1.2, krippendorff 0.8.1, numpy 1.26.4.
# Behaviour: Krippendorff's alpha counts each pair of grades once, whatever the number of grades of a patient, and takes
# grades that no other reader gave to the same patient for the disagreement by chance. Its ordinal distance is that of
# intervals.
# Expected: what the package krippendorff gives (Krippendorff 2011, "Computing Krippendorff's alpha-reliability"), where
# each pair weighs by the grades of its patient, and a grade alone counts nowhere.
# Seen: "alpha of patients with two or four grades 0.74, by the other package 0.54; with four patients more who have one
# grade 0.79 and 0.54; ordinal 0.79 and 0.86"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check iaa-kit==0.1.2 krippendorff==0.8.1 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import krippendorff
import numpy as np
from iaa_kit.krippendorff import alpha_value

none = None  # no grade
patients = [[1, 1, none, none], [1, 2, none, none], [2, 2, none, none]] * 4  # two of four readers
patients += [[1, 1, 1, 1]] * 4
alone = [[5, none, none, none]] * 4  # one reader alone


def both(rows, scale):
    """Return alpha of this package and of the other one."""
    table = np.array(rows, float).T
    return alpha_value(rows, scale), float(krippendorff.alpha(table, level_of_measurement=scale))


seen, right = both(patients, "nominal")
seen_alone, right_alone = both(patients + alone, "nominal")
skewed = [[1, 1]] * 40 + [[2, 2]] * 3 + [[3, 10], [10, 10], [3, 3], [1, 2], [1, 2]]
seen_ordinal, right_ordinal = both(skewed, "ordinal")
print(
    f"alpha of patients with two or four grades {seen:.2f}, by the other package {right:.2f}; with four patients more "
    f"who have one grade {seen_alone:.2f} and {right_alone:.2f}; ordinal {seen_ordinal:.2f} and {right_ordinal:.2f}"
)
same = np.isclose(right, right_alone)
sys.exit(not (seen - right > 0.15 and seen_alone - seen > 0.03 and same and right_ordinal - seen_ordinal > 0.05))
PYTHON
