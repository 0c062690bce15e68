#!/usr/bin/env bash
# hiclass 5.0.8, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: precision, recall and f1 compare the sets of names on the way down the tree, and not the places: a benign
# finding of the liver has "benign" in common with a benign finding of the lung. The classifiers of the same package
# tell such classes apart by the names above them. A classifier that is wrong about the organ of every patient has half
# of all points.
# Expected: a class and its ancestors are nodes of the tree (Silla and Freitas 2011, which is cited), and two
# nodes are not one because they have the same name: 0, as with names that hold their way down.
# Seen: "the organ of all 100 patients is wrong: precision 0.50, recall 0.50, F1 0.50; with the organ in each name 0.00,
# 0.00, 0.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check hiclass==5.0.8 scikit-learn==1.9.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from hiclass.metrics import f1, precision, recall

true = np.array([["lung", "benign"]] * 50 + [["liver", "malignant"]] * 50)
said = np.array([["liver", "benign"]] * 50 + [["lung", "malignant"]] * 50)


def placed(classes):
    """Return the same classes, each with the organ in its name."""
    return np.array([[organ, f"{organ} {kind}"] for organ, kind in classes])


seen = [float(score(true, said)) for score in (precision, recall, f1)]
right = [float(score(placed(true), placed(said))) for score in (precision, recall, f1)]
print(
    "the organ of all 100 patients is wrong: precision {:.2f}, recall {:.2f}, F1 {:.2f}; ".format(*seen)
    + "with the organ in each name {:.2f}, {:.2f}, {:.2f}".format(*right)
)
sys.exit(not (seen == [0.5] * 3 and right == [0] * 3))
PYTHON
