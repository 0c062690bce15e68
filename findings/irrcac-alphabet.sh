#!/usr/bin/env bash
# irrCAC 0.4.4, scipy 1.12.0, pandas 2.2.3, numpy 1.26.4.
# Behaviour: for grades in words CAC puts the categories in the order of the alphabet, and takes that for their order
# where agreement is weighted: mild, moderate, none, severe. Readers who confuse none and mild, which are neighbours,
# now and then have the agreement of those who confuse grades two steps apart. The reference says of categories that it
# is for grades that nobody gave; an order, and that it counts, is not mentioned. Numbers, and words listed in
# categories, are right.
# Expected: an error for weights without an order, or a word of it.
# Seen: "weighted kappa of grades as numbers and as words: none and mild confused 0.92 and 0.68, mild and severe
# confused 0.68 and 0.38; words listed in order 0.68"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check irrCAC==0.4.4 scipy==1.12.0 pandas==2.2.3 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from irrCAC.raw import CAC

words = ["none", "mild", "moderate", "severe"]


def agreement(confused, **options):
    """Return the weighted kappa (Conger) of two readers who agree on 80 images and confuse two grades on 20."""
    first, second = confused
    pairs = [(grade, grade) for grade in range(4)] * 20 + [(first, second), (second, first)] * 10
    grades = pd.DataFrame(pairs, columns=["first reader", "second reader"])
    numbers = CAC(grades, weights="quadratic").conger()["est"]["coefficient_value"]
    in_words = CAC(grades.map(words.__getitem__), weights="quadratic", **options).conger()["est"]["coefficient_value"]
    return float(numbers), float(in_words)


near, far = agreement((0, 1)), agreement((1, 3))
listed = agreement((1, 3), categories=words)
print(
    f"weighted kappa of grades as numbers and as words: none and mild confused {near[0]:.2f} and {near[1]:.2f}, mild and "
    f"severe confused {far[0]:.2f} and {far[1]:.2f}; words listed in order {listed[1]:.2f}"
)
sys.exit(not (near[0] - near[1] > 0.1 and abs(listed[0] - listed[1]) < 1e-4))
PYTHON
